//! A kind of intake: what each has in common with the others.
//!
//! Another kind is a folder beside this file, a section of the configuration, and a line in each list of `kinds`.

use std::fmt;
use std::pin::Pin;

use tokio::sync::watch;

use super::Intake;
use super::view::{SharedView, Shown};

/// The work of one intake, which ends soon after it is told to stop.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A kind of intake, as its section of the configuration says.
pub trait Kind: Clone + fmt::Debug + PartialEq {
    /// The section, as people write it.
    const SECTION: &'static str;

    /// How it is doing.
    type View: Shown + Clone;

    /// Opens it: gives what shows how it is doing, and the work of taking events until `stop` turns true.
    fn open(self, intake: Intake, stop: watch::Receiver<bool>) -> (SharedView<Self::View>, Work);
}
