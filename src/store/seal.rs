//! Encryption at rest: columns with personal data are encrypted ("sealed") where SQL writes them and decrypted
//! ("opened") where it reads them.
//!
//! Statements call `seal(text, table, row…)` and `open(text, table, row…)`; the arguments after the text bind it to its
//! row, so that it cannot be moved to another. Without a key both return the text unchanged. The cipher is AES-256-SIV
//! (RFC 5297), which needs no random numbers: the same text in the same row always has the same result, so that an
//! identity is found by its index, and values are compared and copied without decrypting them. An empty text stays
//! empty, and NULL stays NULL.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use hkdf::Hkdf;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, ffi};
use secrecy::{ExposeSecret, SecretBox, SecretSlice};
use sha2::Sha512;

use super::StoreError;

/// Label for deriving the key.
const PURPOSE: &[u8] = b"outpost store 1";

/// Plain text of the proof, by which a key is recognised.
const PROOF: &str = "outpost";

/// Encrypted columns by table, with the SQL arguments that bind them to their row.
const SEALED: [(&str, &[&str], &str); 11] = [
    ("journal", &["event"], "'journal', seq"),
    ("profile", &["key"], "'profile', kind"),
    ("attribute", &["value", "items", "delivered_value"], "'attribute', profile_id, name"),
    ("part", &["before", "after"], "'attribute', profile_id, name"),
    ("reading", &["read_value"], "'attribute', profile_id, name"),
    ("sends", &["log"], "'sends', profile_id"),
    ("batch_row", &["content"], "'batch_row', profile_id"),
    ("rejected", &["detail"], "'rejected'"),
    ("fingerprint_key", &["key"], "'fingerprint_key'"),
    ("identity_key", &["key"], "'identity_key'"),
    ("without_effect", &["reason"], "'without_effect', seq"),
];

/// The key of a store, derived from a secret. Cheap to clone.
#[derive(Clone)]
pub struct StoreKey(Arc<SecretBox<[u8; 64]>>);

impl StoreKey {
    /// Derives the key from a secret of 32 bytes or more, with HKDF-SHA512.
    #[must_use]
    pub fn new(secret: &SecretSlice<u8>) -> Self {
        let mut key = Box::new([0; 64]);
        let derived = Hkdf::<Sha512>::new(None, secret.expose_secret()).expand(PURPOSE, key.as_mut_slice());
        derived.expect("64 bytes are one block of SHA-512");
        Self(Arc::new(SecretBox::new(key)))
    }

    fn cipher(&self) -> Aes256Siv {
        Aes256Siv::new(self.0.expose_secret().into())
    }

    fn seal(&self, text: &str, row: &[Vec<u8>]) -> String {
        let sealed = self.cipher().encrypt(row, text.as_bytes());
        BASE64_STANDARD_NO_PAD.encode(sealed.expect("a row has fewer parts than the cipher takes"))
    }

    fn open(&self, sealed: &str, row: &[Vec<u8>]) -> Option<String> {
        let sealed = BASE64_STANDARD_NO_PAD.decode(sealed).ok()?;
        String::from_utf8(self.cipher().decrypt(row, &sealed).ok()?).ok()
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey")
    }
}

/// The path of a store's file, with the key if it is encrypted. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StoreFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Present key.
    pub key: Option<StoreKey>,
    /// Previous key: a store that is still encrypted with it is encrypted again.
    pub old_key: Option<StoreKey>,
}

impl StoreFile {
    /// Returns a file with its key.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, key: Option<StoreKey>) -> Self {
        Self { path: path.into(), key, old_key: None }
    }
}

impl<P: AsRef<Path> + ?Sized> From<&P> for StoreFile {
    /// Returns a file without encryption.
    fn from(path: &P) -> Self {
        Self::new(path.as_ref(), None)
    }
}

impl From<&Self> for StoreFile {
    fn from(file: &Self) -> Self {
        file.clone()
    }
}

/// Makes the statements of a connection encrypt and decrypt with a key.
pub(super) fn install(connection: &Connection, key: Option<&StoreKey>) -> rusqlite::Result<()> {
    define(connection, "seal", key, StoreKey::sealed)?;
    define(connection, "open", key, StoreKey::opened)?;
    define(connection, "opens", key, |key, text, row| Ok(Value::from(key.opened(text, row).is_ok())))
}

impl StoreKey {
    fn sealed(&self, text: &str, row: &[Vec<u8>]) -> rusqlite::Result<Value> {
        Ok(Value::from(self.seal(text, row)))
    }

    fn opened(&self, text: &str, row: &[Vec<u8>]) -> rusqlite::Result<Value> {
        self.open(text, row).map(Value::from).ok_or_else(|| {
            // A message of ours would replace the error code, which says that the file is damaged or was changed.
            rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), None)
        })
    }
}

/// Defines an SQL function of a text and its row. Without a key, and for a value that is not a text, it returns its
/// argument.
fn define(
    connection: &Connection,
    name: &str,
    key: Option<&StoreKey>,
    work: impl Fn(&StoreKey, &str, &[Vec<u8>]) -> rusqlite::Result<Value> + Send + 'static,
) -> rusqlite::Result<()> {
    let key = key.cloned();
    let is_question = name == "opens";
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(name, -1, flags, move |context| match (context.get_raw(0), &key) {
        (ValueRef::Text(text), Some(key)) if !text.is_empty() => {
            work(key, utf8(text)?, &row(context)).map(ToSqlOutput::Owned)
        }
        _ if is_question => Ok(ToSqlOutput::Owned(Value::from(true))),
        _ => Ok(ToSqlOutput::Arg(0)),
    })
}

fn utf8(text: &[u8]) -> rusqlite::Result<&str> {
    std::str::from_utf8(text).map_err(|error| rusqlite::Error::UserFunctionError(Box::new(error)))
}

/// Returns the context that a text is bound to: all arguments after the first.
fn row(context: &Context<'_>) -> Vec<Vec<u8>> {
    let part = |place| match context.get_raw(place) {
        ValueRef::Integer(number) => number.to_be_bytes().to_vec(),
        ValueRef::Text(text) | ValueRef::Blob(text) => text.to_vec(),
        ValueRef::Null | ValueRef::Real(_) => Vec::new(),
    };
    (1..context.len()).map(part).collect()
}

/// The relation of a store to the key with which it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The store is encrypted with the present key.
    Fits,
    /// The store is not encrypted yet.
    Plain,
    /// The store is encrypted with the previous key.
    Old,
}

impl Standing {
    /// Returns the key that opens the store now.
    pub(super) const fn key(self, file: &StoreFile) -> Option<&StoreKey> {
        match self {
            Self::Fits => file.key.as_ref(),
            Self::Old => file.old_key.as_ref(),
            Self::Plain => None,
        }
    }
}

/// Determines whether a key opens a store, without writing anything.
pub(super) fn look(connection: &Connection, file: &StoreFile, version: i64) -> Result<Standing, StoreError> {
    let open = |source| StoreError::open(&file.path, source);
    let proof = proof(connection, version).map_err(open)?;
    let path = || file.path.clone();
    match (&file.key, proof) {
        (None, None) => Ok(Standing::Fits),
        (Some(_), None) => Ok(Standing::Plain),
        (None, Some(_)) => Err(StoreError::Sealed { path: path() }),
        (Some(key), Some(proof)) if fits(key, &proof) => Ok(Standing::Fits),
        (Some(_), Some(proof)) if file.old_key.as_ref().is_some_and(|key| fits(key, &proof)) => Ok(Standing::Old),
        (Some(_), Some(_)) => Err(StoreError::WrongKey { path: path() }),
    }
}

/// Returns the proof of an encrypted store.
pub(super) fn proof(connection: &Connection, version: i64) -> rusqlite::Result<Option<String>> {
    const SINCE_VERSION: i64 = 4;
    if version < SINCE_VERSION {
        return Ok(None);
    }
    connection.query_row("SELECT proof FROM seal", [], |row| row.get(0)).optional()
}

fn fits(key: &StoreKey, proof: &str) -> bool {
    key.open(proof, &[]).as_deref() == Some(PROOF)
}

/// Encrypts everything with another key, or with none, in one transaction. The SQL functions use `to` afterwards.
pub(super) fn reseal(
    connection: &mut Connection,
    from: Option<&StoreKey>,
    to: Option<&StoreKey>,
) -> rusqlite::Result<()> {
    install(connection, to)?;
    define(connection, "open_old", from, StoreKey::opened)?;
    let transaction = connection.transaction()?;
    for (table, columns, row) in SEALED {
        let set = |column: &&str| format!("{column} = seal(open_old({column}, {row}), {row})");
        let sets: Vec<String> = columns.iter().map(set).collect();
        transaction.execute(&format!("UPDATE {table} SET {}", sets.join(", ")), [])?;
    }
    transaction.execute("DELETE FROM seal", [])?;
    if let Some(key) = to {
        write_proof(&transaction, key)?;
    }
    transaction.commit()
}

pub(super) fn write_proof(connection: &Connection, key: &StoreKey) -> rusqlite::Result<()> {
    connection.execute("INSERT INTO seal (id, proof) VALUES (1, ?1)", [key.seal(PROOF, &[])]).map(|_| ())
}

/// Returns an SQL condition for the rows of a table whose encrypted columns can be decrypted; `None` for a table
/// without any.
pub(super) fn condition(table: &str) -> Option<String> {
    let (_, columns, row) = SEALED.into_iter().find(|(name, ..)| *name == table)?;
    let opens: Vec<String> = columns.iter().map(|column| format!("opens({column}, {row})")).collect();
    Some(opens.join(" AND "))
}

/// Returns true if every encrypted value can be decrypted. This reads all of them.
pub(super) fn is_whole(connection: &Connection) -> rusqlite::Result<bool> {
    for (table, ..) in SEALED {
        // A store with an older schema lacks some of the tables.
        let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
        if !connection.query_row(sql, [table], |row| row.get(0))? {
            continue;
        }
        let condition = condition(table).expect("the table has sealed columns");
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE NOT ({condition}))");
        if connection.query_row(&sql, [], |row| row.get(0))? {
            return Ok(false);
        }
    }
    Ok(true)
}
