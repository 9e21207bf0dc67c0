//! The interface that all kinds of intake share.
//!
//! A new kind needs a folder beside this file, a section of the configuration, and a line in each list of `kinds`.

use std::fmt;
use std::pin::Pin;

use tokio::sync::watch;

use super::Intake;
use super::view::{SharedView, Shown};

/// The work of one intake, which ends soon after it is asked to stop.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A kind of intake, as configured by its section.
pub trait Kind: Clone + fmt::Debug + PartialEq {
    /// Section of the configuration, as people write it.
    const SECTION: &'static str;

    /// The view of its state.
    type View: Shown + Clone;

    /// Opens it. Returns its view, and the work that takes events until `stop` turns true.
    fn open(self, intake: Intake, stop: watch::Receiver<bool>) -> (SharedView<Self::View>, Work);
}
