//! What one asks the device: how it stands, what it holds of a person and what Target does, what was rejected; and that it forget.

pub mod status;

pub mod rejected;

pub mod verify;

pub mod forget;
