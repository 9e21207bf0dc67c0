//! The kinds of intake beside the API, each listed three times: as configured, as shared, and as displayed.

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Intake;
use super::folder::{FolderRules, FolderView};
use super::kind::{Kind, Work};
use super::line::{LineRules, LineView};
use super::view::{SharedView, Shown};

/// The configuration of all kinds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kinds {
    /// The section `[intake.folder]`.
    pub folder: Option<FolderRules>,
    /// The sections `[[intake.line]]`.
    pub lines: Vec<LineRules>,
}

impl Kinds {
    /// Opens all of them. Returns their views, and the work of each.
    #[must_use]
    pub fn open(self, intake: &Intake, stop: &watch::Receiver<bool>) -> (SharedKinds, Vec<Work>) {
        let mut opening = Opening { intake, stop, works: Vec::new() };
        let shared = SharedKinds {
            folder: self.folder.map(|rules| opening.open(rules)),
            lines: self.lines.into_iter().map(|rules| opening.open(rules)).collect(),
        };
        (shared, opening.works)
    }

    /// Returns the sections that differ in another configuration.
    #[must_use]
    pub fn sections_changed(&self, other: &Self) -> Vec<&'static str> {
        let changed = [
            (self.folder != other.folder).then_some(FolderRules::SECTION),
            (self.lines != other.lines).then_some(LineRules::SECTION),
        ];
        changed.into_iter().flatten().collect()
    }
}

struct Opening<'o> {
    intake: &'o Intake,
    stop: &'o watch::Receiver<bool>,
    works: Vec<Work>,
}

impl Opening<'_> {
    fn open<K: Kind>(&mut self, rules: K) -> SharedView<K::View> {
        let (view, work) = rules.open(self.intake.clone(), self.stop.clone());
        self.works.push(work);
        view
    }
}

/// The views of all kinds, shared with their work.
#[derive(Clone, Debug, Default)]
pub struct SharedKinds {
    folder: Option<SharedView<FolderView>>,
    lines: Vec<SharedView<LineView>>,
}

impl SharedKinds {
    /// Returns the present state.
    #[must_use]
    pub fn now(&self) -> KindViews {
        KindViews {
            folder: self.folder.as_ref().map(SharedView::now),
            lines: self.lines.iter().map(SharedView::now).collect(),
        }
    }
}

/// The state of each kind, in the names of `status --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindViews {
    /// The section `[intake.folder]`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<FolderView>,
    /// The sections `[[intake.line]]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineView>,
}

impl KindViews {
    /// Returns all views, for display.
    pub fn shown(&self) -> impl Iterator<Item = &dyn Shown> {
        let lines = self.lines.iter().map(|view| view as &dyn Shown);
        self.folder.iter().map(|view| view as &dyn Shown).chain(lines)
    }
}
