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
    is_lasting.then(|| machine_uid::get().ok()).flatten()
}
