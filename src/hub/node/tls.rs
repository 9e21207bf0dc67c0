//! Connections to a node: TLS, or plain ones for a proxy on the same machine.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::device::{dir, secret};
use crate::http::server::Listener;

/// Certificate and key by which a node shows who it is.
pub type Acceptor = TlsAcceptor;

/// A node's certificate, with those that lead to its root, and its key: files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificates.
    pub cert: PathBuf,
    /// The key, which nobody else may read.
    pub key: PathBuf,
}

/// A file of a certificate or a key that cannot be used: a clause for a person.
#[derive(Debug)]
pub struct TlsError(String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tls in [hub]: {}", self.0)
    }
}

impl std::error::Error for TlsError {}

impl Files {
    /// Reads them.
    ///
    /// # Errors
    /// [`TlsError`], which names the file.
    pub fn acceptor(&self) -> Result<Acceptor, TlsError> {
        let wrong = |path: &Path, words: &str| TlsError(format!("the file {}: {words}", path.display()));
        let bytes = dir::open_followed(&self.cert)
            .and_then(dir::read_small)
            .map_err(|error| wrong(&self.cert, &format!("it cannot be read: {error}")))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| {
            wrong(&self.cert, "it must hold the node's certificate in PEM, which starts with BEGIN CERTIFICATE")
        })?;
        let key = secret::file_bytes(&self.key).map_err(TlsError)?;
        let key = PrivateKeyDer::from_pem_slice(key.expose_secret()).map_err(|_| {
            wrong(&self.key, "it must hold a key in PEM without a passphrase, which starts with BEGIN PRIVATE KEY")
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| TlsError(format!("cert and key cannot be used together: {error}")))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Listener for devices.
pub(super) struct Doorstep {
    pub(super) tcp: TcpListener,
    pub(super) tls: Option<Acceptor>,
}

impl Listener for Doorstep {
    type Stream = Stream;

    async fn accept(&mut self) -> io::Result<Stream> {
        let (stream, _) = self.tcp.accept().await?;
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            Some(tls) => Stream::Greeting(Box::pin(tls.accept(stream))),
            None => Stream::Plain(stream),
        })
    }
}

/// One connection. Its handshake is part of its first request, so that it has the time of one and keeps nobody waiting.
pub(super) enum Stream {
    Plain(TcpStream),
    Greeting(Pin<Box<tokio_rustls::Accept<TcpStream>>>),
    Secret(Box<TlsStream<TcpStream>>),
    Failed,
}

/// A stream that bytes go through.
trait Both: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Both for S {}

impl Stream {
    /// Returns the stream once the handshake is done.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Both>>> {
        if let Self::Greeting(accept) = self {
            match ready!(accept.as_mut().poll(context)) {
                Ok(stream) => *self = Self::Secret(Box::new(stream)),
                Err(error) => {
                    *self = Self::Failed;
                    return Poll::Ready(Err(error));
                }
            }
        }
        let stream: &mut dyn Both = match self {
            Self::Plain(stream) => stream,
            Self::Secret(stream) => stream.as_mut(),
            Self::Greeting(_) | Self::Failed => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        };
        Poll::Ready(Ok(Pin::new(stream)))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(context))?.poll_read(context, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(context))?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {
            // Nothing was written yet.
            Self::Greeting(_) => Poll::Ready(Ok(())),
            _ => ready!(self.poll_open(context))?.poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {
            Self::Greeting(_) | Self::Failed => Poll::Ready(Ok(())),
            _ => ready!(self.poll_open(context))?.poll_shutdown(context),
        }
    }
}
