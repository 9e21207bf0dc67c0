//! How events change an attribute, and what of it Target shall hold where others write it too.

pub mod coalesce;

pub mod merge;
