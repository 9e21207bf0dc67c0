//! The section `[intake]`: the API, and the other kinds.

use std::net::SocketAddr;
use std::path::Path;

use toml::Spanned;

use super::document::Table;
use super::{DEFAULT_LISTEN, IntakeConfig};
use super::{folder, lines};
use crate::core::tokens::{Callers, Right};
use crate::intake::kinds::Kinds;

pub(super) fn read(top: &Table<'_, '_>, data_dir: &Path) -> IntakeConfig {
    let mut intake =
        IntakeConfig { listen: DEFAULT_LISTEN, callers: Callers::default(), socket: None, kinds: Kinds::default() };
    let Some(section) = top.table("intake") else { return intake };
    if let Some(http) = section.table("http") {
        if let Some(listen) = http.text("listen").and_then(|text| listen(&http, &text)) {
            intake.listen = listen;
        }
        intake.callers.allowed_origins = origins(&http);
        http.finish();
    }
    if let Some(socket) = section.table("socket") {
        intake.socket = socket.path("path");
        let right = socket.one_of("right", Right::ALL.map(Right::name)).and_then(Right::of_name);
        intake.callers.socket_right = right.unwrap_or(intake.callers.socket_right);
        if cfg!(not(unix)) {
            socket.report(socket.span(), "[intake.socket] exists only on Unix; remove the section");
        }
        socket.finish();
    }
    intake.kinds = Kinds {
        folder: section.table("folder").and_then(|folder| folder::read(folder, data_dir)),
        lines: lines::read_all(&section),
    };
    section.finish();
    intake
}

fn listen(section: &Table<'_, '_>, text: &Spanned<&str>) -> Option<SocketAddr> {
    let address: Option<SocketAddr> = text.get_ref().parse().ok();
    match address {
        Some(address) if address.ip().is_loopback() => return Some(address),
        _ => section.report(
            text.span(),
            format!(
                "listen in [intake.http] must be a loopback address such as 127.0.0.1:7717; found {}",
                text.get_ref()
            ),
        ),
    }
    None
}

fn origins(section: &Table<'_, '_>) -> Vec<String> {
    let mut origins = Vec::new();
    for text in section.texts("allowed_origins") {
        let origin = reqwest::Url::parse(text.get_ref()).ok().map(|url| url.origin().ascii_serialization());
        if origin.as_deref() == Some(*text.get_ref()) {
            origins.push(text.into_inner().to_owned());
        } else {
            section.report(text.span(), "an origin must be a scheme and a host, as in https://kiosk.acme.example");
        }
    }
    origins
}
