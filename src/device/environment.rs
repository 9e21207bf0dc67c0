//! The environment: the variables of the process and, below them, those in the file that the service's unit reads. So a
//! command on the command line sees the same variables as the service.

use std::collections::BTreeMap;
use std::env::VarError;
use std::ffi::OsString;
use std::path::Path;
use std::sync::OnceLock;

use secrecy::{ExposeSecret, SecretString};

/// Variables from the unit's file, once it has been read.
static UNIT: OnceLock<BTreeMap<String, SecretString>> = OnceLock::new();

/// Reads a file of variables, which rank below those of the process. A file that this user cannot read counts as empty:
/// the process may have all the variables it needs.
pub fn adopt(path: &Path) {
    let _ = UNIT.set(std::fs::read_to_string(path).map_or_else(|_| BTreeMap::new(), |text| read(&text)));
}

/// Returns a variable.
///
/// # Errors
/// As for [`std::env::var`].
pub fn variable(name: &str) -> Result<SecretString, VarError> {
    match (std::env::var(name), UNIT.get().and_then(|unit| unit.get(name))) {
        (Err(VarError::NotPresent), Some(value)) => Ok(value.clone()),
        (value, _) => value.map(SecretString::from),
    }
}

/// Returns all variables by name.
#[must_use]
pub fn variables() -> BTreeMap<OsString, OsString> {
    let unit = UNIT.get().into_iter().flatten();
    let unit = unit.map(|(name, value)| (OsString::from(name), OsString::from(value.expose_secret())));
    unit.chain(std::env::vars_os()).collect()
}

/// Reads a file of variables. Source: systemd.exec(5), `EnvironmentFile=`: one variable per line, `#` and `;` begin
/// comments, a value may be quoted, and a backslash takes the next character literally or continues the line.
fn read(text: &str) -> BTreeMap<String, SecretString> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut variables = BTreeMap::new();
    let mut rest = text.chars();
    while !rest.as_str().is_empty() {
        let line = rest.as_str().trim_start();
        if line.starts_with(['#', ';']) {
            rest = line.split_once('\n').map_or("", |(_, rest)| rest).chars();
            continue;
        }
        let Some((name, after)) = line.split_once(['=', '\n']) else { break };
        let is_variable = line.as_bytes().get(name.len()) == Some(&b'=');
        rest = after.chars();
        if is_variable {
            let value = value(&mut rest);
            variables.insert(name.trim().to_owned(), SecretString::from(value));
        }
    }
    variables
}

/// Reads a value up to the end of its line. A quote opens at the beginning or after another quoted part; elsewhere it
/// is an ordinary character.
fn value(rest: &mut std::str::Chars<'_>) -> String {
    let mut value = String::new();
    let (mut quote, mut may_quote) = (None, true);
    // Length that must stay: quoted characters are not trimmed.
    let mut kept = 0;
    while let Some(next) = rest.next() {
        match (next, quote) {
            ('\n', None) => break,
            ('\\', None | Some('"')) => {
                let escaped = rest.next();
                if quote == Some('"') && !matches!(escaped, Some('"' | '\\' | '`' | '$' | '\n') | None) {
                    value.push('\\');
                }
                value.extend(escaped.filter(|escaped| *escaped != '\n'));
                may_quote = false;
            }
            (next, Some(open)) if next == open => (quote, may_quote) = (None, true),
            ('"' | '\'', None) if may_quote => quote = Some(next),
            (next, None) if next.is_whitespace() && may_quote => {}
            (next, _) => {
                value.push(next);
                may_quote = false;
            }
        }
        if quote.is_some() || !next.is_whitespace() {
            kept = value.len();
        }
    }
    value.truncate(kept);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_systemd_reads_it() {
        let text = "# A=0\n; B=0\nA=1\n B = two words \nC=\"quoted # \\\" \\n\"\nD='it \"is\" \\n'\nE=a\\\nb\nF=\nG={ file = \"x\" }\nno variable\nH=$A#b\r\n";
        let read = read(text);
        let shown: Vec<(&str, &str)> =
            read.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        assert_eq!(
            shown,
            [
                ("A", "1"),
                ("B", "two words"),
                ("C", "quoted # \" \\n"),
                ("D", "it \"is\" \\n"),
                ("E", "ab"),
                ("F", ""),
                ("G", "{ file = \"x\" }"),
                ("H", "$A#b"),
            ]
        );
    }
}
