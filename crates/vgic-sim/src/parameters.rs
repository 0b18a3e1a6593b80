//! [`Parameter`]: one thing that a machine has a value for. The list of them is the one from which [`Machine`] is made.
//!
//! Whoever reads or writes the values by name (a profile, a command line, another language) takes name, unit, range and
//! text from the list, and knows none of them itself.

use crate::machine::{Machine, Ps};

/// What a value is given in, outside. Inside, times are in picoseconds and ratios in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Milliseconds.
    Ms,
    /// A plain number.
    Ratio,
    /// How many.
    Count,
    /// One of some names.
    Choice,
}

impl Unit {
    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Ns => "ns",
            Unit::Ms => "ms",
            Unit::Ratio => "ratio",
            Unit::Count => "count",
            Unit::Choice => "choice",
        }
    }

    /// How many there are inside of one outside.
    pub const fn scale(self) -> u64 {
        match self {
            Unit::Ns | Unit::Ratio => 1000,
            Unit::Ms => 1_000_000_000,
            Unit::Count | Unit::Choice => 1,
        }
    }
}

/// A parameter of a machine.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it is given in.
    pub unit: Unit,
    /// Smallest value, as it is inside.
    pub low: u64,
    /// Largest value, as it is inside.
    pub high: u64,
    /// What a choice may be.
    pub choices: &'static [&'static str],
    /// What it is, in one line.
    pub text: &'static str,
    set: fn(&mut Machine, u64),
}

/// A value for a parameter, as it is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given<'a> {
    /// A time, a ratio or a count.
    Number(u64),
    /// The name of a choice.
    Choice(&'a str),
}

impl Parameter {
    /// Sets it in a machine. The error says what its value must be.
    pub fn set(&self, machine: &mut Machine, given: Given<'_>) -> Result<(), String> {
        let value = match (given, self.unit) {
            (Given::Choice(name), Unit::Choice) => {
                let known = self.choices.iter().position(|choice| *choice == name);
                known.ok_or_else(|| format!("must be one of {}, not {name:?}", self.choices.join(", ")))? as u64
            }
            (Given::Number(value), unit) if unit != Unit::Choice => value,
            _ => return Err(if self.unit == Unit::Choice { "must be a name" } else { "must be a number" }.to_owned()),
        };
        if value < self.low {
            return Err(format!("must be at least {}, not {value}", self.low));
        }
        if value > self.high {
            return Err(format!("must be at most {}, not {value}", self.high));
        }
        (self.set)(machine, value);
        Ok(())
    }

    pub(crate) const fn new(name: &'static str, kind: Kind, text: &'static str, set: fn(&mut Machine, u64)) -> Self {
        let Kind { unit, low, high, choices } = kind;
        Parameter { name, unit, low, high, choices, text, set }
    }
}

/// What kind of value a parameter has.
pub(crate) struct Kind {
    unit: Unit,
    low: u64,
    high: u64,
    choices: &'static [&'static str],
}

/// Longest time of a machine: ten seconds. So sums of times stay far from the end of the numbers.
pub const LONGEST: Ps = 10_000_000_000_000;

const fn number(unit: Unit, low: u64, high: u64) -> Kind {
    Kind { unit, low, high, choices: &[] }
}

/// A time of at least `low`, given in nanoseconds.
pub(crate) const fn ns(low: Ps) -> Kind {
    number(Unit::Ns, low, LONGEST)
}

/// A time that is given in milliseconds.
pub(crate) const fn ms() -> Kind {
    number(Unit::Ms, 0, LONGEST)
}

/// A ratio up to so many thousandths.
pub(crate) const fn ratio(high: u64) -> Kind {
    number(Unit::Ratio, 0, high)
}

/// A count.
pub(crate) const fn count(high: u64) -> Kind {
    number(Unit::Count, 0, high)
}

/// One of some names.
pub(crate) const fn choice(choices: &'static [&'static str]) -> Kind {
    Kind { unit: Unit::Choice, low: 0, high: choices.len() as u64 - 1, choices }
}

/// How a value is kept in a machine.
pub(crate) trait Kept {
    /// From a number in range.
    fn kept(value: u64) -> Self;

    /// Itself, if it is a time; 0 otherwise.
    fn time(self) -> Ps
    where
        Self: Sized,
    {
        0
    }
}

impl Kept for u64 {
    fn kept(value: u64) -> Self {
        value
    }

    #[inline]
    fn time(self) -> Ps {
        self
    }
}

impl Kept for u32 {
    fn kept(value: u64) -> Self {
        value as u32
    }
}

/// Makes an enum whose variants have names.
macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$about])* $variant,)*
        }

        impl $name {
            const ALL: &[$name] = &[$($name::$variant),*];
            const NAMES: &[&str] = &[$($text),*];
        }

        impl $crate::parameters::Kept for $name {
            fn kept(value: u64) -> Self {
                $name::ALL[value as usize]
            }
        }
    };
}

/// Makes [`Machine`] from the list of its parameters: name, type, kind, the value of a flat machine, and what it is.
macro_rules! machine {
    (
        $(#[$doc:meta])* { $($(#[$about:meta])* $given:ident: $of:ty,)* }
        $($name:ident: $type:ty, $kind:expr, $flat:expr, $text:literal;)*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Machine {
            $($(#[$about])* pub $given: $of,)*
            $(#[doc = $text] pub $name: $type,)*
        }

        /// What time is charged to: a parameter, by its name, or the distances.
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Cost {
            /// Between cores.
            distance,
            $(#[doc = $text] $name),*
        }

        impl Cost {
            /// All of them.
            pub const NAMES: &[&str] = &["distance", $(stringify!($name)),*];
        }

        impl Machine {
            /// Everything that a machine has a value for, but cores and distances.
            pub const PARAMETERS: &[Parameter] = &[$(
                Parameter::new(stringify!($name), $kind, $text, |machine, value| {
                    machine.$name = $crate::parameters::Kept::kept(value);
                })
            ),*];

            /// A value that is a time; 0 for another.
            #[inline]
            pub fn time(&self, cost: Cost) -> Ps {
                match cost {
                    Cost::distance => 0,
                    $(Cost::$name => $crate::parameters::Kept::time(self.$name)),*
                }
            }

            fn flat_with($($given: $of),*) -> Self {
                Machine { $($given,)* $($name: $flat,)* }
            }
        }
    };
}
pub(crate) use {choices, machine};
