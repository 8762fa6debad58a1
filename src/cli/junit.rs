//! JUnit's XML, as `guestnet test --junit` writes it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::test_report::Scenario;

/// The results: a case for each scenario, and an error for each file that is none, with what is wrong with it.
pub fn junit(scenarios: &[Scenario], broken: &[(PathBuf, String)], elapsed: Duration) -> String {
    let failures = scenarios.iter().filter(|scenario| scenario.has_failed()).count();
    let skipped = scenarios.iter().filter(|scenario| scenario.runs == 0).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"guestnet\" tests=\"{}\" failures=\"{failures}\" \
         errors=\"{}\" skipped=\"{skipped}\" time=\"{:.3}\">\n",
        scenarios.len() + broken.len(),
        broken.len(),
        elapsed.as_secs_f64()
    );
    for scenario in scenarios {
        let mut result = String::new();
        if let Some(why) = scenario.skipped {
            let _ = write!(result, "<skipped message=\"{}\"/>", escape(why.as_str()));
        } else if scenario.has_failed() {
            let told = [scenario.told(), &scenario.never_met()].concat().join("\n\n");
            let (line, told) = (escape(&scenario.line()), escape(&told));
            let _ = write!(result, "<failure message=\"{line}\">{told}</failure>");
        }
        if scenario.skipped.is_none() && !scenario.not_judged().is_empty() {
            let _ = write!(result, "<system-out>{}</system-out>", escape(&scenario.line()));
        }
        case(&mut xml, &scenario.path, &result);
    }
    for (path, why) in broken {
        let result = format!("<error message=\"the scenario has mistakes\">{}</error>", escape(why));
        case(&mut xml, path, &result);
    }
    xml.push_str("</testsuite>\n");
    xml
}

fn case(xml: &mut String, path: &Path, result: &str) {
    let folder = path.parent().map(|parent| parent.display().to_string()).unwrap_or_default();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (folder, name) = (escape(&folder), escape(&name));
    let _ = writeln!(xml, "  <testcase classname=\"{folder}\" name=\"{name}\">{result}</testcase>");
}

/// For XML 1.0, which has no place for most control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
