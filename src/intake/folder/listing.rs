//! The files of a folder that are looked at in one round, where there may be more than can be. A pure rule: those that are never read
//! as they are hide no other, and of the rest those that could not be read before stand back.

use std::ffi::OsString;

use super::wait::{FolderWait, WAITS_SHOWN};

/// Files that may be read and are examined in one round; the others follow when there are fewer.
pub(super) const FILES_MAX: usize = 10_000;

/// Files that are looked at in one round. Limits: a second of a slow flash card.
const LOOKED_MAX: usize = 50_000;

/// The files of a folder.
pub(super) struct Listed<F> {
    /// Those that may be read, at most [`FILES_MAX`].
    pub(super) files: Vec<F>,
    /// Some of those that are never read as they are.
    pub(super) waits: Vec<FolderWait>,
    /// Number of waiting files that are in neither.
    pub(super) more: usize,
    /// Number of those among them that may be read, and are too many to be examined.
    pub(super) beyond: usize,
}

/// Lists files by their names. `look` returns a file, or why it is never read as it is; `None` for what is no file. Those with the
/// least `order` come first where there are too many.
pub(super) fn list<F, O: Ord>(
    names: impl Iterator<Item = OsString>,
    look: impl Fn(OsString) -> Option<Result<F, FolderWait>>,
    order: impl Fn(&F) -> O,
) -> Listed<F> {
    let mut listed = Listed { files: Vec::new(), waits: Vec::new(), more: 0, beyond: 0 };
    for (count, name) in names.enumerate() {
        if count >= LOOKED_MAX {
            listed.beyond += 1;
            continue;
        }
        match look(name) {
            Some(Ok(file)) => listed.files.push(file),
            Some(Err(wait)) if listed.waits.len() < WAITS_SHOWN => listed.waits.push(wait),
            Some(Err(_)) => listed.more += 1,
            None => {}
        }
    }
    if listed.files.len() > FILES_MAX {
        listed.files.sort_by_key(order);
        listed.beyond += listed.files.len() - FILES_MAX;
        listed.files.truncate(FILES_MAX);
    }
    listed.more += listed.beyond;
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_read_takes_no_place_and_what_comes_first_has_one() {
        let names = |count: usize| (0..count).map(|number| OsString::from(number.to_string()));
        let number = |name: OsString| name.to_string_lossy().parse::<usize>().expect("a number");
        let wait = |name: OsString| FolderWait { file: name.to_string_lossy().into_owned(), why: String::new() };
        let found = |count: usize, readable: fn(usize) -> bool| {
            let look =
                |name: OsString| Some(if readable(number(name.clone())) { Ok(number(name)) } else { Err(wait(name)) });
            // The last come first.
            let Listed { files, waits, more, beyond } = list(names(count), look, |number| usize::MAX - number);
            (files.len(), files.iter().max().copied(), waits.len(), more, beyond)
        };
        assert_eq!(found(3, |_| true), (3, Some(2), 0, 0, 0));
        assert_eq!(found(40_000, |number| number == 39_999), (1, Some(39_999), WAITS_SHOWN, 39_999 - WAITS_SHOWN, 0));
        assert_eq!(found(10_002, |_| true), (10_000, Some(10_001), 0, 2, 2));
        assert_eq!(found(60_000, |number| number > 0), (10_000, Some(49_999), 1, 49_999, 49_999));
    }
}
