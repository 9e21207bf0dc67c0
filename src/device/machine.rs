//! The system's identifier of this machine.

use std::path::Path;

use super::disk::is_in_memory;

/// File in which Linux keeps it. Source: machine-id(5).
const MACHINE_ID: &str = "/etc/machine-id";

/// Returns the machine's identifier if it stays the same after a restart. A machine without a disk to keep it on gets
/// another one at each start, which systemd mounts over the file from memory.
#[must_use]
pub fn id() -> Option<String> {
    let is_lasting = !is_in_memory(Path::new(MACHINE_ID));
    is_lasting.then(|| machine_uid::get().ok()).flatten().filter(|id| is_id(id))
}

/// Returns true if a text identifies one machine: 16 hexadecimal digits or more, with or without hyphens, and not all
/// the same.
///
/// Source: `/etc/machine-id` is "uninitialized" until the first boot has ended, and firmware without its own number
/// reports zeros or ones.
#[must_use]
pub fn is_id(text: &str) -> bool {
    const DIGITS_MIN: usize = 16;
    let digits: Vec<char> = text.trim().chars().filter(|next| *next != '-').collect();
    digits.len() >= DIGITS_MIN
        && digits.iter().all(char::is_ascii_hexdigit)
        && digits.iter().any(|digit| Some(digit) != digits.first())
}
