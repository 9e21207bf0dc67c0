//! The files of a folder that are looked at in one round, where there may be more than can be. A pure rule: those that are never read
//! as they are hide no other, and of the rest those that could not be read before stand back.

use std::ffi::OsString;

/// Files that may be read and are examined in one round; the others follow when there are fewer.
pub(super) const FILES_MAX: usize = 10_000;

/// Files that are looked at in one round. Limits: a second of a slow flash card.
const LOOKED_MAX: usize = 50_000;

/// The files of a folder.
pub(super) struct Listed<F> {
    /// Those that may be read, at most [`FILES_MAX`], and those that are never read as they are.
    pub(super) files: Vec<F>,
    /// Number of files that are not among them.
    pub(super) beyond: usize,
}

/// Lists files by their names. `look` returns a file; `None` for what is no file. Of those that may be read, those with the least
/// `order` come first where there are too many.
pub(super) fn list<F, O: Ord>(
    names: impl Iterator<Item = OsString>,
    look: impl Fn(OsString) -> Option<F>,
    may_be_read: impl Fn(&F) -> bool,
    order: impl Fn(&F) -> O,
) -> Listed<F> {
    let mut beyond = 0;
    let (mut files, mut never) = (Vec::new(), Vec::new());
    for (count, name) in names.enumerate() {
        if count >= LOOKED_MAX {
            beyond += 1;
        } else if let Some(file) = look(name) {
            if may_be_read(&file) { files.push(file) } else { never.push(file) }
        }
    }
    if files.len() > FILES_MAX {
        files.sort_by_key(order);
        beyond += files.len() - FILES_MAX;
        files.truncate(FILES_MAX);
    }
    files.extend(never);
    Listed { files, beyond }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_read_takes_no_place_and_what_comes_first_has_one() {
        let names = |count: usize| (0..count).map(|number| OsString::from(number.to_string()));
        let number = |name: OsString| name.to_string_lossy().parse::<usize>().expect("a number");
        let found = |count: usize, may_be_read: fn(usize) -> bool| {
            // The last come first.
            let order = |number: &usize| usize::MAX - number;
            let Listed { files, beyond } =
                list(names(count), |name| Some(number(name)), |number| may_be_read(*number), order);
            let readable: Vec<usize> = files.iter().copied().filter(|number| may_be_read(*number)).collect();
            (readable.len(), readable.iter().max().copied(), files.len(), beyond)
        };
        assert_eq!(found(3, |_| true), (3, Some(2), 3, 0));
        assert_eq!(found(40_000, |number| number == 39_999), (1, Some(39_999), 40_000, 0));
        assert_eq!(found(10_002, |_| true), (10_000, Some(10_001), 10_000, 2));
        assert_eq!(found(60_000, |number| number > 0), (10_000, Some(49_999), 10_001, 49_999));
    }
}
