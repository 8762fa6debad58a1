//! Quantities with units: durations, rates, sizes, probabilities, dates.

use std::time::Duration;

use toml::de::DeValue;
use toml::value::{Datetime, Offset};

use super::mistake::{Problem, quote};
use super::plan::Span;
use super::read::article;

/// A hundred years: enough for any lab, and far from where virtual time ends.
const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

const NANOSECONDS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
const BITS: &[(&str, u64)] =
    &[("bit", 1), ("kbit", 1_000), ("Mbit", 1_000_000), ("Gbit", 1_000_000_000), ("Tbit", 1_000_000_000_000)];
const HERTZ: &[(&str, u64)] =
    &[("Hz", 1), ("kHz", 1_000), ("MHz", 1_000_000), ("GHz", 1_000_000_000), ("THz", 1_000_000_000_000)];
const BYTES: &[(&str, u64)] =
    &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// `"10ms"`, `"1.5s"`.
pub(super) fn duration(value: &DeValue<'_>) -> Result<Duration, Problem> {
    const HELP: &str = "a number and one of ns, us, ms, s, min, h, such as \"10ms\" or \"1.5s\"";
    let nanos = quantity(value, NANOSECONDS, "a duration", "nanoseconds", HELP)?;
    let duration =
        u64::try_from(nanos).map(Duration::from_nanos).ok().filter(|&duration| duration <= DURATION_MAX);
    duration.ok_or_else(|| Problem::new("is longer than a hundred years", HELP))
}

/// `"10ms"`, or `"10ms..200ms"`.
pub(super) fn span(value: &DeValue<'_>) -> Result<Span, Problem> {
    const HELP: &str = "a duration such as \"10ms\", or a range of them such as \"10ms..200ms\"";
    let DeValue::String(text) = value else {
        let message = format!("{} where a duration in quotes belongs", article(value));
        return Err(Problem::new(message, HELP));
    };
    let Some((least, most)) = text.split_once("..") else {
        let only = duration(value)?;
        return Ok(Span { least: only, most: only });
    };
    let end = |text: &str| duration(&DeValue::String(text.trim().into()));
    let (least, most) = (end(least)?, end(most)?);
    if least > most {
        return Err(Problem::new(format!("{} runs backwards", quote(text)), HELP));
    }
    Ok(Span { least, most })
}

/// `"5s"`, or `"-5s"`, in nanoseconds.
pub(super) fn skew(value: &DeValue<'_>) -> Result<i64, Problem> {
    let unsigned = match value {
        DeValue::String(text) => text.strip_prefix('-'),
        _ => None,
    };
    let nanos = |value: &DeValue<'_>| {
        let duration = duration(value)?;
        i64::try_from(duration.as_nanos())
            .map_err(|_| Problem::new("is too large", "at most a hundred years"))
    };
    match unsigned {
        Some(text) => Ok(-nanos(&DeValue::String(text.into()))?),
        None => nanos(value),
    }
}

/// `"1GHz"`, in hertz.
pub(super) fn frequency(value: &DeValue<'_>) -> Result<u64, Problem> {
    const HELP: &str = "from \"1kHz\" to \"1THz\", in Hz, kHz, MHz, GHz or THz";
    let hertz = quantity(value, HERTZ, "a frequency", "hertz", HELP)?;
    match u64::try_from(hertz) {
        Ok(hertz @ 1_000..=1_000_000_000_000) => Ok(hertz),
        _ => Err(Problem::new("is out of range", HELP)),
    }
}

/// A duration as scenarios write it, without quotation marks, for the command line.
///
/// # Errors
/// What is wrong, and what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    duration(&DeValue::String(text.into()))
        .map_err(|problem| format!("{}; {}", problem.message, problem.help))
}

/// `"10Mbit"` a second, as bytes a second, rounded down.
pub(super) fn rate(value: &DeValue<'_>) -> Result<u64, Problem> {
    const HELP: &str = "bits a second: a number and one of bit, kbit, Mbit, Gbit, Tbit, such as \"10Mbit\"; \
                        leave it out for no limit";
    let bits = quantity(value, BITS, "a rate", "bits", HELP)?;
    match u64::try_from(bits / 8) {
        Ok(0) => {
            let shown = value.as_str().map(quote).unwrap_or_default();
            Err(Problem::new(format!("{shown} is less than a byte a second"), HELP))
        }
        Ok(bytes) => Ok(bytes),
        Err(_) => Err(Problem::new("is too large", HELP)),
    }
}

/// `"64KiB"`, `"1.5MiB"` or a plain number of bytes.
pub(super) fn size(value: &DeValue<'_>) -> Result<u64, Problem> {
    const HELP: &str = "bytes, or a number and one of B, KiB, MiB, GiB, TiB, such as \"64MiB\"";
    let bytes = match value {
        DeValue::Integer(digits) => u128::from_str_radix(digits.as_str(), digits.radix()).ok(),
        other => Some(quantity(other, BYTES, "a size", "bytes", HELP)?),
    };
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).ok_or_else(|| Problem::new("is out of range", HELP))
}

/// `"1%"` or a number from 0 to 1.
pub(super) fn probability(value: &DeValue<'_>) -> Result<f64, Problem> {
    const HELP: &str = "a share such as \"1%\", from \"0%\" to \"100%\", or a number from 0 to 1";
    let (shown, probability) = match value {
        DeValue::String(text) => {
            let number = text.strip_suffix('%').map(str::trim_end);
            // Only digits and a point: `parse` alone would take `1e3`, `inf` and `nan` as well.
            let plain = number.filter(|number| number.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
            (
                text.to_string(),
                plain.and_then(|number| number.parse::<f64>().ok()).map(|percent| percent / 100.0),
            )
        }
        DeValue::Float(digits) => (digits.to_string(), digits.as_str().parse().ok()),
        DeValue::Integer(digits) => (digits.to_string(), digits.as_str().parse().ok()),
        other => return Err(Problem::new(format!("{} where a share belongs", article(other)), HELP)),
    };
    match probability {
        Some(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Some(_) => Err(Problem::new(format!("{} is out of range", quote(&shown)), HELP)),
        None => Err(Problem::new(format!("{} is not a share", quote(&shown)), HELP)),
    }
}

/// An RFC 3339 date and time with offset, as a TOML date or a string: time since the Unix epoch.
pub(super) fn epoch(value: &DeValue<'_>) -> Result<Duration, Problem> {
    const HELP: &str = "a date and time in RFC 3339, such as \"2020-01-01T00:00:00Z\"";
    /// 2300-01-01T00:00:00Z. Clocks and captures count nanoseconds in 64 bits, which end in 2554; until then a lab has
    /// the longest duration, and a guest's clock the largest skew.
    const END_SECONDS: u64 = 10_413_792_000;
    let parsed = match value {
        DeValue::Datetime(date) => Some(*date),
        DeValue::String(text) => text.parse::<Datetime>().ok(),
        other => return Err(Problem::new(format!("{} where a date belongs", article(other)), HELP)),
    };
    let Some(Datetime { date: Some(date), time: Some(time), offset: Some(offset) }) = parsed else {
        return Err(Problem::new("is not a date and time with an offset from UTC", HELP));
    };
    let offset_minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let days = days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let minutes = days * 1440 + i64::from(time.hour) * 60 + i64::from(time.minute) - offset_minutes;
    let seconds = minutes * 60 + i64::from(time.second.unwrap_or(0));
    match u64::try_from(seconds) {
        Ok(END_SECONDS..) => Err(Problem::new("is too late", "before 2300-01-01T00:00:00Z")),
        Ok(seconds) => Ok(Duration::new(seconds, time.nanosecond.unwrap_or(0))),
        Err(_) => Err(Problem::new("is before 1970-01-01T00:00:00Z", "guests count time from there")),
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: years are counted from March, so that
/// the leap day ends one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let days_in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    // 719468 days from 0000-03-01 to 1970-01-01.
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + days_in_year - 719_468
}

/// Number times unit, exactly, in the units table's base.
fn quantity(
    value: &DeValue<'_>,
    units: &[(&str, u64)],
    what: &str,
    base: &str,
    help: &str,
) -> Result<u128, Problem> {
    let DeValue::String(text) = value else {
        let message = format!("{} where {what} in quotes belongs", article(value));
        return Err(Problem::new(message, help));
    };
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let unit = unit.trim_start();
    let malformed = || Problem::new(format!("{} is not {what}", quote(text)), help);
    if whole.is_empty() || fraction.contains('.') || number.ends_with('.') {
        return Err(malformed());
    }
    if unit.is_empty() {
        return Err(Problem::new(format!("{} has no unit", quote(text)), help));
    }
    let Some(&(_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(Problem::new(format!("{} is not a unit of {what}", quote(unit)), help));
    };
    let too_large = || Problem::new(format!("{} is too large", quote(text)), help);
    let mantissa: u128 = format!("{whole}{fraction}").parse().map_err(|_| too_large())?;
    let scaled = mantissa.checked_mul(u128::from(factor)).ok_or_else(too_large)?;
    let divisor = u32::try_from(fraction.len()).ok().and_then(|digits| 10u128.checked_pow(digits));
    let divisor = divisor.ok_or_else(malformed)?;
    if scaled % divisor != 0 {
        return Err(Problem::new(format!("{} is not a whole number of {base}", quote(text)), help));
    }
    Ok(scaled / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> DeValue<'_> {
        DeValue::String(text.into())
    }

    #[test]
    fn durations_are_exact() {
        for (written, nanos) in [
            ("10ms", 10_000_000),
            ("1.5s", 1_500_000_000),
            ("250us", 250_000),
            ("250 µs", 250_000),
            ("100ns", 100),
            ("2min", 120_000_000_000),
            ("0s", 0),
        ] {
            assert_eq!(duration(&text(written)), Ok(Duration::from_nanos(nanos)), "{written}");
        }
        for wrong in
            ["10", "", "ms", "-1s", "1.5ns", "1..5s", "1.s", ".5s", "10 parsecs", "999999999h", "1e3s"]
        {
            assert!(duration(&text(wrong)).is_err(), "{wrong}");
        }
        let long = format!("0.{}s", "0".repeat(100));
        assert!(duration(&text(&long)).is_err());
    }

    #[test]
    fn ranges_run_forwards_and_clocks_both_ways() {
        let of =
            |least, most| Ok(Span { least: Duration::from_millis(least), most: Duration::from_millis(most) });
        assert_eq!(span(&text("10ms")), of(10, 10));
        assert_eq!(span(&text("10ms..0.2s")), of(10, 200));
        assert_eq!(span(&text("10ms .. 10ms")), of(10, 10));
        for wrong in ["2ms..1ms", "1ms..", "..1ms", "1ms...2ms", "1ms..2ms..3ms", "-1ms", "-1ms..1ms"] {
            assert!(span(&text(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(skew(&text("1.5s")), Ok(1_500_000_000));
        assert_eq!(skew(&text("-1ns")), Ok(-1));
        for wrong in ["--1s", "-", "+ 1s", "- 1"] {
            assert!(skew(&text(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(frequency(&text("2.4GHz")), Ok(2_400_000_000));
        for wrong in ["999Hz", "1.1THz", "0GHz", "1", "1Ghz"] {
            assert!(frequency(&text(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_bits_and_sizes_are_bytes() {
        assert_eq!(rate(&text("10Mbit")), Ok(1_250_000));
        assert_eq!(rate(&text("0.5kbit")), Ok(62));
        assert!(rate(&text("7bit")).is_err());
        assert!(rate(&text("10MB")).is_err());
        assert_eq!(size(&text("64KiB")), Ok(65_536));
        assert_eq!(size(&text("1.5MiB")), Ok(1_572_864));
        assert!(size(&text("0.3KiB")).is_err(), "307.2 bytes");
    }

    /// What messages and pages say would be right is taken, in the unit that they say it in.
    #[test]
    fn every_quantity_that_is_advised_can_be_written() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let of =
            |folder: &str| std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let mut found = [0; 4];
        for path in of("docs").chain(of("src/scenario/spec")).filter(|path| path.is_file()) {
            let file = std::fs::read_to_string(&path).unwrap();
            for word in file.split('"').map(|word| word.trim_end_matches('\\')) {
                let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
                let (kind, read) = match unit {
                    _ if unit.len() == word.len() => continue,
                    _ if unit.ends_with("iB") => (0, size(&text(word)).map(drop)),
                    _ if unit.ends_with("Hz") => (1, frequency(&text(word)).map(drop)),
                    _ if unit.ends_with("bit") => (2, rate(&text(word)).map(drop)),
                    _ if NANOSECONDS.iter().any(|(name, _)| *name == unit) => {
                        (3, duration(&text(word)).map(drop))
                    }
                    _ => continue,
                };
                assert_eq!(read, Ok(()), "{}: {word}", path.display());
                found[kind] += 1;
            }
        }
        assert!(found.iter().all(|&count| count >= 3), "{found:?}");
        assert_eq!(size(&text("1TiB")), Ok(1 << 40));
    }

    #[test]
    fn shares_are_percentages_or_numbers() {
        assert_eq!(probability(&text("1%")), Ok(0.01));
        assert_eq!(probability(&text("0.1 %")), Ok(0.001));
        assert_eq!(probability(&text("100%")), Ok(1.0));
        for wrong in ["101%", "-1%", "1", "%", "nan%", "inf%", "1e1%"] {
            assert!(probability(&text(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn dates_count_from_1970() {
        let seconds = |written: &'static str| epoch(&text(written)).map(|since| since.as_secs());
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Ok(0));
        assert_eq!(seconds("2000-02-29T12:00:00Z"), Ok(951_825_600));
        assert_eq!(seconds("2020-01-01T00:00:00Z"), Ok(1_577_836_800));
        assert_eq!(seconds("2020-01-01T01:00:00+01:00"), Ok(1_577_836_800));
        let last = epoch(&text("2299-12-31T23:59:59Z")).unwrap();
        assert_eq!(last.as_secs(), 10_413_791_999);
        // The longest lab, with the clock that is furthest ahead.
        assert!(u64::try_from((last + 2 * DURATION_MAX).as_nanos()).is_ok());
        for wrong in [
            "2300-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "1969-12-31T23:59:59Z",
            "2020-01-01",
            "2020-01-01T00:00:00",
            "2021-02-30T00:00:00Z",
            "soon",
        ] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
