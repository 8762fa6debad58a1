//! A scenario's text as it may be shown: mistakes are told with the lines around them, and those may have passwords.

/// How much of a value, quotes included, is a secret.
type Part = fn(&str) -> usize;

/// Keys whose values may have secrets.
const SECRETS: [(&str, Part); 2] = [("password", str::len), ("server", user_info)];

/// `text` with the secrets that follow keys as asterisks, so many that every place in it is where it was.
pub(super) fn masked(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, name, of)) = next_key(rest) {
        let (before, key) = rest.split_at(at + name.len());
        shown.push_str(before);
        // The key may be in quotes.
        let value = key.trim_start_matches(['"', '\'']).trim_start_matches([' ', '\t']);
        rest = match value.strip_prefix('=').map(|value| value.trim_start_matches([' ', '\t'])) {
            Some(value) => {
                shown.push_str(&key[..key.len() - value.len()]);
                let secret = of(&value[..literal(value)]);
                let (secret, rest) = value.split_at(secret);
                let stars = |c: char| if c == '\n' { c.to_string() } else { "*".repeat(c.len_utf8()) };
                shown.extend(secret.chars().map(stars));
                rest
            }
            None => key,
        };
    }
    shown.push_str(rest);
    shown
}

/// The first key in `text` that may have a secret: where, which, and how much of its value is one.
fn next_key(text: &str) -> Option<(usize, &'static str, Part)> {
    let found = SECRETS.iter().filter_map(|&(key, of)| Some((text.find(key)?, key, of)));
    found.min_by_key(|&(at, ..)| at)
}

/// What stands before the host in `me:secret@proxy:1080`, which belongs into keys of its own.
fn user_info(value: &str) -> usize {
    value.rfind('@').unwrap_or(0)
}

/// How long the value is that `text` begins with: to the end of its line where it has no end of its own.
fn literal(text: &str) -> usize {
    let line = text.find('\n').unwrap_or(text.len());
    for quotes in ["\"\"\"", "'''", "\"", "'"] {
        let Some(inner) = text.strip_prefix(quotes) else { continue };
        let basic = quotes.starts_with('"');
        let mut escaped = false;
        for (at, c) in inner.char_indices() {
            if !escaped && inner[at..].starts_with(quotes) {
                return quotes.len() + at + quotes.len();
            }
            if c == '\n' && quotes.len() == 1 {
                return line;
            }
            escaped = basic && c == '\\' && !escaped;
        }
        return if quotes.len() == 1 { line } else { text.len() };
    }
    text[..line].find([',', '}', '#']).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_stars_and_the_rest_is_as_it_was() {
        for (text, shown) in [
            ("password = \"secret\" # x", "password = ******** # x"),
            ("p = { user = 'a', password='se\\', x = 1 }", "p = { user = 'a', password=*****, x = 1 }"),
            ("\"password\" = \"s\\\"ecret\"\nb = 1", "\"password\" = **********\nb = 1"),
            ("password = \"\"\"a\nb\"\"\"\nc", "password = ****\n****\nc"),
            ("password = \"no end\nb = \"x\"", "password = *******\nb = \"x\""),
            ("password = 12345, b", "password = *****, b"),
            ("password = \"ä\"", "password = ****"),
            ("# a password, and passwords\n", "# a password, and passwords\n"),
            ("password", "password"),
            ("password =", "password ="),
            ("server = \"me:hunter2@p:1\" # @", "server = ***********@p:1\" # @"),
            ("s = { server='http://a@b@p', password='x' }", "s = { server=***********@p', password=*** }"),
            ("server = \"p:1\"\nservers = \"a@b\"", "server = \"p:1\"\nservers = \"a@b\""),
        ] {
            assert_eq!(masked(text), shown);
            assert_eq!(masked(text).len(), text.len());
        }
    }

    proptest::proptest! {
        #[test]
        fn every_place_stays(text in "(password|server|@|=| |\"|'|\\\\|\n|ä|x){0,30}") {
            let shown = masked(&text);
            proptest::prop_assert_eq!(shown.len(), text.len());
            proptest::prop_assert_eq!(shown.lines().count(), text.lines().count());
        }
    }
}
