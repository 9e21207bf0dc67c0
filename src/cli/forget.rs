//! `outpost forget`: erases all that the device holds of one identity.

use super::device::Device;
use super::reach::AgentArgs;
use super::{Failure, print, print_json};
use crate::core::identity::Identity;
use crate::inspect::forget::Forgotten;

/// Erases all that this device holds of one identity, and says what it erased
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  outpost forget third_party_id:123456")]
pub(super) struct Args {
    #[command(flatten)]
    agent: AgentArgs,
    /// Whom to forget, such as third_party_id:123456 or pc_id:1368007744041-575948.01_00
    identity: Identity,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Said where rejected events are left.
const NOT_FOUND: &str = "rejected events are left; one whose identity no mapping can read is not found by `forget`: look at them with \
                         `outpost rejected list` and `outpost rejected show`, and erase them with `outpost rejected drop`";

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let device = Device::open(&args.agent)?;
    let forgotten = device.forget(&args.identity)?;
    if args.json {
        return print_json(&forgotten);
    }
    print(&words(forgotten))?;
    // Without the list, what was erased is still erased.
    if device.rejected(0).is_ok_and(|list| list.rejected.iter().any(|item| item.kind == "event")) {
        print(NOT_FOUND)?;
    }
    drop(device);
    match args.agent.folder() {
        Err(_) => {
            print("whether done and failed of a folder hold files was not looked up, since no configuration was read")
        }
        Ok(folder) => match folder.map_or(0, |folder| folder.files_kept()) {
            0 => Ok(()),
            count => print(&format!(
                "{count} files in done and failed of the folder were not looked at: other software wrote them"
            )),
        },
    }
}

fn words(forgotten: Forgotten) -> String {
    let Forgotten { attributes, pending, events, rejected, was_in_flight, damaged_stores } = forgotten;
    let damaged = match damaged_stores {
        0 => String::new(),
        count => format!("\ndeleted {count} damaged stores that were kept, and may have held more of it"),
    };
    if (attributes, events, rejected) == (0, 0, 0) {
        return format!("this device holds nothing of that identity{damaged}");
    }
    let in_flight = if was_in_flight { "\nan update was in flight, and came to its end before" } else { "" };
    format!(
        "erased {attributes} attributes ({pending} of them not yet delivered), {events} events, {rejected} rejected\
         {in_flight}{damaged}\nlog lines hold nobody's data; Target keeps what it was sent, and has no way to remove an attribute"
    )
}
