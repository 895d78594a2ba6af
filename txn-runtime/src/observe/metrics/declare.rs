//! How a metric is declared.

use ::metrics::Unit;

use super::handle::Kind;

/// What there is to say of a metric.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: Unit,
    pub(super) about: &'static str,
    /// The keys of the labels in which its series differ, beside those of its whole set.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "a test compares it with the page")
    )]
    pub(super) keys: &'static [&'static str],
}

impl Row {
    /// Tells the recorder; again for each `Db`, which does no harm.
    pub(super) fn describe(&self) {
        let Self {
            name, unit, about, ..
        } = *self;
        match self.kind {
            Kind::Counter => ::metrics::describe_counter!(name, unit, about),
            Kind::Gauge => ::metrics::describe_gauge!(name, unit, about),
            Kind::Histogram => ::metrics::describe_histogram!(name, unit, about),
        }
    }
}

/// Declares a set of metrics that share their first labels: a struct with a handle for each.
///
/// A row is `handle: Type = "name" ["label", …], Unit, "description", { Event => move, … }`. Its
/// kind is that of its type, one of `handle.rs` or of the crate `metrics`. A move sees the handle
/// under its name.
macro_rules! metrics {
    (
        $(#[$doc:meta])*
        struct $set:ident {
            $(
                $handle:ident: $type:ty = $name:literal [$($key:literal),*], $unit:ident,
                $about:literal,
                { $($event:pat => $act:expr,)+ }
            )+
        }
    ) => {
        $(#[$doc])*
        pub(super) struct $set { $($handle: $type,)+ }

        impl $set {
            pub(super) const ROWS: &[Row] = &[$(Row {
                name: $name,
                kind: <$type as Handle>::KIND,
                unit: ::metrics::Unit::$unit,
                about: $about,
                keys: &[$($key),*],
            }),+];

            /// Registers all of them.
            pub(super) fn new(labels: &::std::sync::Arc<[::metrics::Label]>) -> Self {
                Self { $($handle: Handle::register(Series {
                    name: $name,
                    labels: labels.clone(),
                    keys: &[$($key),*],
                }),)+ }
            }

            #[inline(always)]
            pub(super) fn hear(&self, event: Event) {
                $({
                    let $handle = &self.$handle;
                    match event {
                        $($event => $act,)+
                        _ => {}
                    }
                })+
            }
        }
    };
}

pub(super) use metrics;
