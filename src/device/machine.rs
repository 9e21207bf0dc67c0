//! Which machine this is, as its system calls it.

use std::path::Path;

use super::disk::is_in_memory;

/// Where Linux keeps what it calls the machine. Source: machine-id(5).
const MACHINE_ID: &str = "/etc/machine-id";

/// Returns what the system calls the machine, if that is the same after the next start: a machine without a disk to keep it on
/// gets another id each time, which systemd mounts over the file from memory.
#[must_use]
pub fn id() -> Option<String> {
    let is_lasting = !is_in_memory(Path::new(MACHINE_ID));
    is_lasting.then(|| machine_uid::get().ok()).flatten().filter(|id| is_id(id))
}

/// Returns whether a text names one machine: 16 hexadecimal digits or more, with or without hyphens, and not all the
/// same.
///
/// Source: `/etc/machine-id` is "uninitialized" until the first boot has ended, and firmware without a number of its
/// own gives zeros or ones.
#[must_use]
pub fn is_id(text: &str) -> bool {
    const DIGITS_MIN: usize = 16;
    let digits: Vec<char> = text.trim().chars().filter(|next| *next != '-').collect();
    digits.len() >= DIGITS_MIN
        && digits.iter().all(char::is_ascii_hexdigit)
        && digits.iter().any(|digit| Some(digit) != digits.first())
}
