//! The fixed list of reasons for a rejection. A label never contains data.

/// The reason why an event or an update was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// An expression of a mapping failed on the event.
    MappingFailed,
    /// A value from a mapping cannot be combined with the present value of the attribute.
    CoalesceFailed,
    /// Target refused the update permanently.
    RefusedByTarget,
    /// One attribute alone is larger than a request may be.
    TooLarge,
    /// The value is empty, which Target ignores.
    EmptyValue,
    /// Somebody else wrote a newer value, or a better number, to Target.
    Superseded,
    /// Target does not have the profile, and a single update would have no effect.
    ProfileMissing,
    /// The row failed in several batches.
    BatchFailed,
    /// The attribute's name belongs to another device, which used this store before.
    OtherDevice,
    /// The hub did not take the device's part.
    RefusedByHub,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 10] = [
        Self::MappingFailed,
        Self::CoalesceFailed,
        Self::RefusedByTarget,
        Self::TooLarge,
        Self::EmptyValue,
        Self::Superseded,
        Self::ProfileMissing,
        Self::BatchFailed,
        Self::OtherDevice,
        Self::RefusedByHub,
    ];

    /// Returns the name used in the store, in answers and in logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::MappingFailed => "mapping_failed",
            Self::CoalesceFailed => "coalesce_failed",
            Self::RefusedByTarget => "refused_by_target",
            Self::TooLarge => "too_large",
            Self::EmptyValue => "empty_value",
            Self::Superseded => "superseded",
            Self::ProfileMissing => "profile_missing",
            Self::BatchFailed => "batch_failed",
            Self::OtherDevice => "other_device",
            Self::RefusedByHub => "refused_by_hub",
        }
    }

    /// Returns an explanation where the label is not enough.
    #[must_use]
    pub const fn words(self) -> Option<&'static str> {
        match self {
            Self::OtherDevice => Some(
                "the attribute carries the name of another device, or of this one before it was renamed, and is no longer \
                 sent; new events write attributes with this device's name",
            ),
            Self::ProfileMissing => Some(
                "Target does not have the profile, and a single update would vanish; use mode = \"auto\", or wait until the \
                 customer has visited the web site",
            ),
            Self::EmptyValue => Some("Target ignores an empty value, and keeps the value before it"),
            _ => None,
        }
    }

    /// Returns true if a value with this reason was not sent at all, so that Target has refused nothing.
    #[must_use]
    pub const fn is_withheld(self) -> bool {
        matches!(self, Self::EmptyValue | Self::OtherDevice)
    }

    /// Returns the reason with a label.
    #[must_use]
    pub fn of_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.label() == label)
    }
}
