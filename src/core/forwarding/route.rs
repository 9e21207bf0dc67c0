//! The choice of one of Target's APIs for an update, with its reason: one pure function.
//!
//! Source: docs/updates.md, the table of routes.

use crate::core::forwarding::existence::Existence;
use crate::core::identity::IdentityKind;

/// The setting `mode` of `[target]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Each profile through the Single Profile Update API.
    Single,
    /// All profiles in batches.
    Bulk,
    /// Each profile through the Delivery API.
    Delivery,
    /// The most suitable API for each profile.
    #[default]
    Auto,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 4] = [Self::Single, Self::Bulk, Self::Delivery, Self::Auto];

    /// Returns the name used in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Bulk => "bulk",
            Self::Delivery => "delivery",
            Self::Auto => "auto",
        }
    }
}

/// The operator's settings for routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRules {
    /// The setting `mode`.
    pub mode: Mode,
    /// True if profiles that Target may not have are created, as the setting `missing_profiles` says.
    pub creates_missing: bool,
    /// True if the customer uses ECID, in which case no batch creates the profile of a pc id.
    pub has_ecid: bool,
    /// The setting `bulk_above`: number of pending profiles above which all go in batches.
    pub bulk_above: usize,
    /// True if there are batches: a hub has none.
    pub has_batches: bool,
}

impl Default for RouteRules {
    /// Returns the defaults, as `agent.toml.example` shows them.
    fn default() -> Self {
        Self { mode: Mode::Auto, creates_missing: true, has_ecid: false, bulk_above: 1_000, has_batches: true }
    }
}

/// The circumstances that decide the route of one update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// Kind of the identity.
    pub kind: IdentityKind,
    /// True if the identity is short enough for the Delivery API.
    pub fits_delivery: bool,
    /// Known state of the profile at Target.
    pub existence: Existence,
    /// True if a mapping marks the update as urgent: needed at the next page view.
    pub is_urgent: bool,
    /// Pending profiles that are not in flight; counting may stop above `bulk_above`.
    pub backlog: usize,
    /// True if the quota of single updates is used up.
    pub is_quota_spent: bool,
}

/// One of Target's APIs for updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpdateApi {
    /// Single Profile Update API.
    Single,
    /// Bulk Profile Update API.
    Bulk,
    /// Delivery API.
    Delivery,
    /// The hub's API, which takes Target's place.
    Hub,
}

/// Facts of an API, by which updates are routed, counted and remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiFacts {
    /// Name in answers and metrics.
    pub name: &'static str,
    /// True if each of its requests counts against the quota of single updates.
    pub is_counted: bool,
    /// True if an update creates a profile that is not there. Otherwise it vanishes, with the same answer.
    pub creates_profile: bool,
    /// True if an update is a row in a file with others.
    pub has_rows: bool,
}

impl UpdateApi {
    /// Returns what is known of it. Source: Target, the page of each API.
    #[must_use]
    pub const fn facts(self) -> ApiFacts {
        let (name, is_counted, creates_profile, has_rows) = match self {
            Self::Single => ("single", true, false, false),
            Self::Bulk => ("bulk", false, true, true),
            Self::Delivery => ("delivery", false, true, false),
            Self::Hub => ("hub", false, true, false),
        };
        ApiFacts { name, is_counted, creates_profile, has_rows }
    }

    /// Returns the name used in answers and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().name
    }
}

/// A route: the API, and the reason for choosing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // `why` says what each means.
pub enum Route {
    SingleMode,
    SingleKnown,
    SinglePcId,
    SingleUnchecked,
    BulkMode,
    BulkMissing,
    BulkBacklog,
    BulkQuota,
    DeliveryMode,
    DeliveryUrgent,
    Hub,
    SingleAlone,
}

impl Route {
    /// All routes, by the number under which they are stored.
    pub const ALL: [Self; 12] = [
        Self::SingleMode,
        Self::SingleKnown,
        Self::SinglePcId,
        Self::SingleUnchecked,
        Self::BulkMode,
        Self::BulkMissing,
        Self::BulkBacklog,
        Self::BulkQuota,
        Self::DeliveryMode,
        Self::DeliveryUrgent,
        Self::Hub,
        Self::SingleAlone,
    ];

    /// Returns the API of the route.
    #[must_use]
    pub const fn api(self) -> UpdateApi {
        match self {
            Self::SingleMode | Self::SingleKnown | Self::SinglePcId | Self::SingleUnchecked | Self::SingleAlone => {
                UpdateApi::Single
            }
            Self::BulkMode | Self::BulkMissing | Self::BulkBacklog | Self::BulkQuota => UpdateApi::Bulk,
            Self::DeliveryMode | Self::DeliveryUrgent => UpdateApi::Delivery,
            Self::Hub => UpdateApi::Hub,
        }
    }

    /// Returns the reason, as a clause for a person.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::SingleMode => "mode is single",
            Self::SingleKnown => "Target has the profile",
            Self::SinglePcId => "a pc_id comes from Target itself",
            Self::SingleUnchecked => "missing_profiles is send",
            Self::BulkMode => "mode is bulk",
            Self::BulkMissing => "Target may not have the profile, and a batch creates it",
            Self::BulkBacklog => "more profiles than bulk_above were pending",
            Self::BulkQuota => "the quota of single updates was spent",
            Self::DeliveryMode => "mode is delivery",
            Self::DeliveryUrgent => "the mapping is urgent",
            Self::Hub => "this device hands over to a hub",
            Self::SingleAlone => "a hub sends no batches",
        }
    }

    /// Returns the number under which the route is stored.
    #[must_use]
    pub fn number(self) -> i64 {
        let place = Self::ALL.iter().position(|route| *route == self).expect("all routes are listed");
        i64::try_from(place).expect("there are few")
    }

    /// Returns the route with a stored number, if there is one.
    #[must_use]
    pub fn of_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|place| Self::ALL.get(place)).copied()
    }
}

/// Decides the route of one update.
#[must_use]
pub fn route(rules: RouteRules, situation: Situation) -> Route {
    match rules.mode {
        _ if situation.is_urgent && situation.fits_delivery => Route::DeliveryUrgent,
        Mode::Delivery if situation.fits_delivery => Route::DeliveryMode,
        Mode::Single => Route::SingleMode,
        _ if !rules.has_batches => Route::SingleAlone,
        Mode::Bulk => Route::BulkMode,
        Mode::Delivery | Mode::Auto => auto(rules, situation),
    }
}

fn auto(rules: RouteRules, situation: Situation) -> Route {
    if situation.backlog > rules.bulk_above {
        return Route::BulkBacklog;
    }
    if situation.is_quota_spent {
        return Route::BulkQuota;
    }
    match situation.kind {
        _ if situation.existence == Existence::Yes => Route::SingleKnown,
        // Target created it, and it may have expired there.
        IdentityKind::PcId if rules.has_ecid || situation.existence != Existence::No => Route::SinglePcId,
        IdentityKind::PcId | IdentityKind::ThirdPartyId if rules.creates_missing => Route::BulkMissing,
        IdentityKind::PcId | IdentityKind::ThirdPartyId => Route::SingleUnchecked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Situation = Situation {
        kind: IdentityKind::ThirdPartyId,
        fits_delivery: true,
        existence: Existence::Unknown,
        is_urgent: false,
        backlog: 1,
        is_quota_spent: false,
    };

    fn check(mode: Mode, situation: Situation, expected: Route) {
        let rules = RouteRules { mode, ..RouteRules::default() };
        assert_eq!(route(rules, situation), expected, "{mode:?} {situation:?}");
    }

    #[test]
    fn each_case_of_the_table() {
        use Existence::{No, Yes};
        let pc_id = Situation { kind: IdentityKind::PcId, ..QUIET };
        let urgent = Situation { is_urgent: true, ..QUIET };
        let long = Situation { fits_delivery: false, ..urgent };
        check(Mode::Auto, QUIET, Route::BulkMissing);
        check(Mode::Auto, Situation { existence: No, ..QUIET }, Route::BulkMissing);
        check(Mode::Auto, Situation { existence: Yes, ..QUIET }, Route::SingleKnown);
        check(Mode::Auto, Situation { existence: Yes, backlog: 1_000, ..QUIET }, Route::SingleKnown);
        check(Mode::Auto, Situation { existence: Yes, backlog: 1_001, ..QUIET }, Route::BulkBacklog);
        check(Mode::Auto, Situation { existence: Yes, is_quota_spent: true, ..QUIET }, Route::BulkQuota);
        check(Mode::Auto, pc_id, Route::SinglePcId);
        check(Mode::Auto, Situation { existence: No, ..pc_id }, Route::BulkMissing);
        check(Mode::Auto, Situation { backlog: 1_001, ..pc_id }, Route::BulkBacklog);
        check(Mode::Auto, urgent, Route::DeliveryUrgent);
        check(Mode::Auto, Situation { backlog: 1_001, ..urgent }, Route::DeliveryUrgent);
        check(Mode::Auto, long, Route::BulkMissing);
        check(Mode::Single, QUIET, Route::SingleMode);
        check(Mode::Single, Situation { backlog: 1_001, is_quota_spent: true, ..QUIET }, Route::SingleMode);
        check(Mode::Single, urgent, Route::DeliveryUrgent);
        check(Mode::Bulk, Situation { existence: Yes, ..QUIET }, Route::BulkMode);
        check(Mode::Delivery, QUIET, Route::DeliveryMode);
        check(Mode::Delivery, Situation { is_urgent: false, ..long }, Route::BulkMissing);
        let without = RouteRules { mode: Mode::Delivery, has_batches: false, ..RouteRules::default() };
        assert_eq!(route(without, QUIET), Route::DeliveryMode);
        assert_eq!(route(without, Situation { is_urgent: false, is_quota_spent: true, ..long }), Route::SingleAlone);
    }

    #[test]
    fn missing_profiles_that_are_not_created_go_as_they_are() {
        let rules = RouteRules { creates_missing: false, ..RouteRules::default() };
        assert_eq!(route(rules, QUIET), Route::SingleUnchecked);
        assert_eq!(route(rules, Situation { backlog: 1_001, ..QUIET }), Route::BulkBacklog);
    }

    #[test]
    fn a_number_names_its_route() {
        for route in Route::ALL {
            assert_eq!(Route::of_number(route.number()), Some(route));
        }
        assert_eq!(Route::of_number(99), None);
    }
}
