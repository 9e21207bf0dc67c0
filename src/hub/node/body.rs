//! The body of a request: bounded in time, as it comes and as it is unpacked.

use std::io::Read;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, HeaderMap};
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::http::problem::Problem;

/// Longest time for receiving a body.
pub(super) const BODY_TIME: Duration = Duration::from_secs(30);

/// Reads a body, packed by gzip or not, of at most so many bytes.
///
/// # Errors
/// 400, 408, 413 or 415.
pub(super) async fn read(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let is_packed = match headers.get(CONTENT_ENCODING).map(|encoding| encoding.as_bytes().to_ascii_lowercase()) {
        None => false,
        Some(encoding) if encoding == b"identity" => false,
        Some(encoding) if encoding == b"gzip" => true,
        Some(_) => {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "urn:outpost:problem:unsupported-media-type",
                "this content is not understood",
                "the Content-Encoding must be gzip, or absent; nothing was taken",
            ));
        }
    };
    let body = receive(body, bytes_max, BODY_TIME).await?;
    let bytes = if is_packed { unpack(&body, bytes_max)? } else { body.into() };
    if bytes.len() > bytes_max { Err(too_large(bytes_max)) } else { Ok(bytes) }
}

async fn receive(body: Body, bytes_max: usize, time: Duration) -> Result<Bytes, Problem> {
    match tokio::time::timeout(time, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
        Ok(Err(_)) => Err(invalid("the body ended before its announced length; nothing was taken")),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "urn:outpost:problem:timeout",
            "the body took too long",
            format!("the body did not arrive within {} s; nothing was taken", time.as_secs()),
        )),
    }
}

/// Unpacks up to one byte more than is allowed.
fn unpack(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    match GzDecoder::new(packed).take(limit).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(invalid("the body is not the gzip that Content-Encoding says; nothing was taken")),
    }
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::too_large(format!(
        "the body is larger than {bytes_max} bytes before gzip; nothing was taken; send fewer profiles at a time"
    ))
}

/// Returns the problem of a body that cannot be read.
pub(super) fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "urn:outpost:problem:invalid", "the body is not what it should be", detail)
}
