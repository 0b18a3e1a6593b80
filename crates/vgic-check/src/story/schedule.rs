//! [`Schedule`]: an execution as text.

use crate::platform::world::Program;
use core::fmt;
use core::str::FromStr;

/// What a replay needs: `142:2,160:1`, step and thread of each choice; `-` for none; before it, if the scenario draws its
/// operations, the number of the program and, in hexadecimal, what is left out of it: `7/142:2`, `7.1c/142:2`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) program: Program,
    pub(crate) choices: Vec<(u32, u8)>,
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Program { number, without } = self.program;
        match without {
            0 if number == 0 => {}
            0 => write!(f, "{number}/")?,
            _ => write!(f, "{number}.{without:x}/")?,
        }
        let choices: Vec<_> = self.choices.iter().map(|(step, thread)| format!("{step}:{thread}")).collect();
        f.write_str(if choices.is_empty() { "-" } else { "" })?;
        f.write_str(&choices.join(","))
    }
}

impl FromStr for Schedule {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (program, choices) = text.split_once('/').unwrap_or(("0", text));
        let (number, without) = program.split_once('.').unwrap_or((program, "0"));
        let number = number.trim().parse().map_err(|_| ())?;
        let program = Program { number, without: u64::from_str_radix(without.trim(), 16).map_err(|_| ())? };
        if choices.trim() == "-" {
            return Ok(Schedule { program, choices: Vec::new() });
        }
        let choice = |text: &str| {
            let (step, thread) = text.trim().split_once(':')?;
            Some((step.parse().ok()?, thread.parse().ok()?))
        };
        let choices: Option<Vec<(u32, u8)>> = choices.split(',').map(choice).collect();
        let choices = choices.filter(|choices| choices.is_sorted_by(|a, b| a.0 < b.0));
        Ok(Schedule { program, choices: choices.ok_or(())? })
    }
}
