//! The tokens of the local API, in files of the data directory.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};

use super::data_dir::{DataDir, DataDirError, TOKEN_BYTES, new_token, read_secret, write_private};
use crate::core::tokens::{self, NamedToken, Right, TokenHash, Tokens};

/// The appearance of the files of tokens: time of the last change, and length in bytes. Files that look the same hold the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenFiles([Option<(Option<SystemTime>, u64)>; 2]);

impl DataDir {
    /// Returns the intake's token, creating it on the first call.
    ///
    /// # Errors
    /// [`DataDirError::File`].
    pub fn token(&self) -> Result<SecretString, DataDirError> {
        let path = self.token_path();
        // A power cut may have left an empty file, which is not a token.
        if let Some(token) = read_secret(&path)?.filter(|token| token.len() == 2 * TOKEN_BYTES) {
            return Ok(SecretString::from(token));
        }
        self.rotate_token()
    }

    /// Returns all tokens: the intake's, created on the first call, and the named ones.
    ///
    /// # Errors
    /// [`DataDirError::File`], also for a file of tokens that cannot be parsed.
    pub fn tokens(&self) -> Result<Tokens, DataDirError> {
        let intake = self.token()?;
        let mut tokens = self.named_tokens()?;
        tokens.push(NamedToken {
            name: tokens::INTAKE.to_owned(),
            right: Right::Admin,
            hash: TokenHash::of(intake.expose_secret().as_bytes()),
            origin: None,
            until_ms: None,
        });
        Ok(Tokens::new(tokens))
    }

    /// Returns the appearance of the files of tokens.
    #[must_use]
    pub fn token_files(&self) -> TokenFiles {
        let look = |path: PathBuf| {
            let found = std::fs::symlink_metadata(path).ok()?;
            Some((found.modified().ok(), found.len()))
        };
        TokenFiles([look(self.token_path()), look(self.tokens_path())])
    }

    /// Returns the named tokens.
    ///
    /// # Errors
    /// As for [`Self::tokens`].
    pub fn named_tokens(&self) -> Result<Vec<NamedToken>, DataDirError> {
        let path = self.tokens_path();
        let Some(json) = read_secret(&path)? else { return Ok(Vec::new()) };
        serde_json::from_str(&json).map_err(|error| DataDirError::File { path, source: io::Error::other(error) })
    }

    /// Stores the named tokens.
    ///
    /// # Errors
    /// [`DataDirError::File`].
    pub fn keep_tokens(&self, tokens: &[NamedToken]) -> Result<(), DataDirError> {
        let json = serde_json::to_string_pretty(tokens).expect("tokens are JSON");
        write_private(&self.tokens_path(), &json)
    }

    /// Replaces the intake's token. Callers with the old one need the new one.
    ///
    /// # Errors
    /// [`DataDirError::File`].
    pub fn rotate_token(&self) -> Result<SecretString, DataDirError> {
        let token = new_token().map_err(|source| DataDirError::File { path: self.token_path(), source })?;
        write_private(&self.token_path(), token.expose_secret())?;
        Ok(token)
    }
}
