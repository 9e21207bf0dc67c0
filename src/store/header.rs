//! The first 100 bytes of a store's file, where they are damaged: what SQLite must know of the file before it reads anything, and
//! all of it is known of our own files, or is found by other ways. The schema is taken for this program's, which a newer one's is not: it
//! is read as far as it has the same tables.
//!
//! Source: "Database File Format", sqlite.org/fileformat2.html, 1.3.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use rusqlite::OpenFlags;
use rusqlite::config::DbConfig;

use super::error::is_corruption;
use super::file;
use super::schema::{PAGE_BYTES, VERSION};
use crate::device::dir;

/// Size of the header; the first page's tree follows it. Units: bytes.
const HEADER_BYTES: usize = 100;

/// Kinds of page in a tree: interior and leaf pages of indexes and tables.
const PAGE_KINDS: [u8; 4] = [2, 5, 10, 13];

/// Replaces a header that SQLite rejects, if everything after it looks like a store file; leaves any other file as it
/// is. The list of free pages is lost, so the file is good only for reading.
///
/// # Errors
/// The system's.
pub(super) fn restore(path: &Path) -> io::Result<()> {
    if !matches!(is_store(path), Err(error) if is_corruption(&error)) {
        return Ok(());
    }
    let mut file = dir::open_writable_at(path)?;
    let mut found = [0; HEADER_BYTES + 1];
    let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
    if length == 0 || length % PAGE_BYTES != 0 {
        return Ok(());
    }
    file.read_exact(&mut found)?;
    let [damaged @ .., kind] = &found;
    if !PAGE_KINDS.contains(kind) {
        return Ok(());
    }
    write(&mut file, &header())?;
    match is_store(path) {
        Ok(true) => Ok(()),
        _ => write(&mut file, damaged),
    }
}

/// Writes the header and syncs it to the disk.
fn write(file: &mut File, header: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(header)?;
    file.sync_all()
}

/// Returns true if SQLite can read the first page and finds our tables in it.
fn is_store(path: &Path) -> rusqlite::Result<bool> {
    let connection = file::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('profile', 'attribute', 'journal')";
    connection.query_row(sql, [], |row| row.get(0)).map(|tables: i64| tables == 3)
}

/// Returns the header of a store file. The rest is 0, including the size, which then counts as unknown.
fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let mut set = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    set(0, b"SQLite format 3\0");
    let page = u16::try_from(PAGE_BYTES).expect("a page has at most 32 KiB");
    set(16, &page.to_be_bytes());
    // Read and write versions for a log; no reserved bytes per page; the fractions that the format prescribes.
    set(18, &[2, 2, 0, 64, 32, 32]);
    // The schema format, and UTF-8.
    set(44, &4_u32.to_be_bytes());
    set(56, &1_u32.to_be_bytes());
    set(60, &u32::try_from(VERSION).expect("a version is small").to_be_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{FILE_NAME, Store};

    #[test]
    fn a_header_is_that_of_a_store_but_for_what_changes() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(FILE_NAME);
        drop(Store::open(&path).expect("a store"));
        let found = std::fs::read(&path).expect("its file");
        let expected = header();
        for (at, byte) in expected.iter().enumerate() {
            // Counters, sizes, the list of free pages, and the version of SQLite that wrote the file.
            let changes = (24..44).contains(&at) || (92..100).contains(&at);
            assert!(changes || found[at] == *byte, "byte {at}: {} and {byte}", found[at]);
        }
    }
}
