//! The lines of `status` and its view that is kept up to date about what comes in by folder and by line.

use crate::intake::folder::FolderView;
use crate::intake::line::LineView;

/// How far the file is that is being read, and how many were.
pub(super) fn folder(folder: &FolderView) -> String {
    let FolderView { waiting, reading, files, failed_files, lines, failed_lines, problem } = folder;
    let reading = reading.as_ref().map(|reading| {
        let percent = 100 * reading.bytes / reading.total_bytes.max(1);
        format!("{} at {percent} % ({} lines), ", reading.file, reading.lines)
    });
    let problem = problem.as_deref().map(|problem| format!("; {problem}")).unwrap_or_default();
    let read =
        format!("{files} files ({failed_files} failed) and {lines} lines ({failed_lines} failed) since the start");
    format!("{:<10}{}{waiting} waiting; {read}{problem}", "folder", reading.unwrap_or_default())
}

/// How a device is doing, and what came of its lines.
pub(super) fn device(device: &LineView) -> String {
    let LineView { name, connected, events, repeated, unmatched, wrong_checksum, lost, problem } = device;
    let state = if *connected { "connected" } else { "not there" };
    let problem = problem.as_deref().map(|problem| format!("; {problem}")).unwrap_or_default();
    format!(
        "{:<10}{name} {state}; {events} events, {repeated} repeated, {unmatched} unmatched, {wrong_checksum} with a wrong \
         check digit, {lost} lost{problem}",
        "device"
    )
}
