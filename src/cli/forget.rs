//! `outpost forget`: erases all that the device holds of one identity, or of those in a file.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::device::Device;
use super::failure::Failure;
use super::output::{print, print_json};
use super::reach::AgentArgs;
use crate::core::identity::Identity;
use crate::core::limits::FORGET_TOGETHER_MAX;
use crate::core::visible::one_line;
use crate::core::words::counted;
use crate::device::dir::open_followed;
use crate::inspect::forget::{Forgotten, ForgottenTogether};

/// Largest file of identities. Units: bytes. Limits: a million of them; no device has as many.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// Advice on data that this device cannot erase.
const ELSEWHERE: &str = "log files contain nobody's data\n\
    Target keeps what it was sent, and cannot remove an attribute: send a delete request for Adobe Target to Adobe Experience \
    Platform Privacy Service. There, a pc_id has the namespace TNTID, and a third_party_id the one that your company uses for it";

/// Said where rejected events are left.
const NOT_FOUND: &str = "there are rejected events, and `forget` cannot find one whose identity no mapping can read: look at them with \
                         `outpost rejected list` and `outpost rejected show`, and erase them with `outpost rejected drop`";

/// Erases everything that this device has about an identity, and reports what it erased
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost forget third_party_id:123456\n  outpost forget --file erasures.txt")]
pub(super) struct Args {
    #[command(flatten)]
    agent: AgentArgs,
    /// The identity to forget, such as 123456, third_party_id:123456 or pc_id:1368007744041-575948.01_00
    #[arg(required_unless_present = "file")]
    identity: Option<Identity>,
    /// Forget every identity in a file, one per line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let named = args.identity.iter().map(|identity| (1, identity.clone()));
    let asked: Vec<(usize, Identity)> = match &args.file {
        Some(path) => read(path)?,
        None => named.collect(),
    };
    let (lines, identities): (Vec<usize>, Vec<Identity>) = asked.into_iter().unzip();
    let device = Device::open(&args.agent)?;
    let mut together = ForgottenTogether::default();
    for part in identities.chunks(FORGET_TOGETHER_MAX) {
        let ForgottenTogether { forgotten, damaged_stores, unlisted } = device.forget(part)?;
        together.forgotten.extend(forgotten);
        together.damaged_stores += damaged_stores;
        together.unlisted = together.unlisted.or(unlisted);
    }
    let all = together.all();
    if args.json {
        if args.file.is_some() {
            print_json(&together)?;
        } else {
            print_json(&all)?;
        }
        return listed(&all);
    }
    let of = args.file.as_ref().map(|_| format!(" (of {})", counted(identities.len(), "identity"))).unwrap_or_default();
    print(&words(&all, &of))?;
    let nothing = lines.iter().zip(&together.forgotten).filter(|(_, forgotten)| forgotten.is_nothing());
    let nothing: Vec<String> = nothing.map(|(line, _)| line.to_string()).collect();
    if args.file.is_some() && !all.is_nothing() && !nothing.is_empty() {
        let lines = if nothing.len() == 1 { "line" } else { "lines" };
        print(&format!("this device had nothing about what is in {lines} {}", nothing.join(", ")))?;
    }
    // Without the list, what was erased is still erased.
    if device.rejected(0).is_ok_and(|list| list.rejected.iter().any(|item| item.kind == "event")) {
        print(NOT_FOUND)?;
    }
    drop(device);
    folder(&args.agent)?;
    listed(&all)
}

/// Fails, after all was said, where an erasure is not in the list of erasures.
fn listed(all: &Forgotten) -> Result<(), Failure> {
    match &all.unlisted {
        None => Ok(()),
        Some(why) => Err(Failure::because(one_line(&format!("all of that was erased, but {why}")))),
    }
}

/// Reads identities, one a line, with the numbers of their lines. Nothing is erased where one is wrong.
fn read(path: &Path) -> Result<Vec<(usize, Identity)>, Failure> {
    let name = path.display();
    let failed = |error: std::io::Error| Failure::because(format!("{name} cannot be read: {error}"));
    let mut text = String::new();
    let input: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(open_followed(path).map_err(failed)?),
    };
    input.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::because(format!("{name} must be at most {FILE_BYTES_MAX} bytes; split it")));
    }
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate().map(|(place, line)| (place + 1, line.trim()));
    let read: Vec<(usize, Result<Identity, _>)> =
        lines.filter(|(_, line)| !line.is_empty()).map(|(number, line)| (number, line.parse::<Identity>())).collect();
    let wrong = |(number, read): &(usize, Result<Identity, crate::core::identity::IdentityError>)| {
        read.as_ref().err().map(|error| format!("{name}:{number}: {error}"))
    };
    let wrong: Vec<String> = read.iter().filter_map(wrong).collect();
    if !wrong.is_empty() {
        return Err(Failure::usage(format!("nothing was erased:\n{}", wrong.join("\n"))));
    }
    Ok(read.into_iter().filter_map(|(number, read)| Some((number, read.ok()?))).collect())
}

/// Says what of the folder was not looked at.
fn folder(agent: &AgentArgs) -> Result<(), Failure> {
    match agent.folder() {
        Err(_) => print("done/ and failed/ of a folder were not looked at, since no configuration was read"),
        Ok(folder) => match folder.map_or(0, |folder| folder.files_kept()) {
            0 => Ok(()),
            count => print(&format!(
                "not looked at, since other software wrote it: {} in done/ and failed/ of the folder",
                counted(count, "file")
            )),
        },
    }
}

fn words(forgotten: &Forgotten, of: &str) -> String {
    let Forgotten { attributes, pending, events, rejected, duplicates, was_in_flight, damaged_stores, .. } = forgotten;
    let damaged = match damaged_stores {
        0 => String::new(),
        count => format!("\ndeleted {} that may have held more of it", counted(*count, "damaged store")),
    };
    if forgotten.is_nothing() {
        return format!(
            "this device has nothing{}{damaged}\n{ELSEWHERE}",
            if of.is_empty() { " about that identity" } else { of }
        );
    }
    let notes = match duplicates {
        0 => String::new(),
        count => format!(", {} of duplicates", counted(*count, "note")),
    };
    let in_flight = if *was_in_flight { "\nan update was in flight; it was finished first" } else { "" };
    format!(
        "erased {} ({pending} of them not yet delivered), {}, {rejected} rejected{notes}{of}{in_flight}{damaged}\n{ELSEWHERE}",
        counted(*attributes, "attribute"),
        counted(*events, "event"),
    )
}
