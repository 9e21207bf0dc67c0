//! The model itself, one test for each of its ways.
