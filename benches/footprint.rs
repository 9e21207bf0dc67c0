//! To be filled.
#![allow(missing_docs)]
fn main() {}
