//! What stands in braces in arguments, variables and standard input: `{index}`, a replica's number, is filled in here, and
//! `{ca:NAME}`, an authority's root, once the world has made it. Other braces are the guest's own, but for those that look like
//! one of these and name nothing: a guest that is given `{ca:tset}` as its root fails far from where the mistake is.

use toml::Spanned;

use super::super::mistake::{Mistakes, quote};
use super::super::spec::AuthoritySpec;
use super::expand::Node;

pub(super) struct Placeholders<'a> {
    node: &'a Node<'a>,
    authorities: &'a [AuthoritySpec],
    mistakes: &'a Mistakes,
}

impl<'a> Placeholders<'a> {
    pub fn new(node: &'a Node<'a>, authorities: &'a [AuthoritySpec], mistakes: &'a Mistakes) -> Self {
        Self { node, authorities, mistakes }
    }

    /// `text`, of the key `key`, with the replica's number.
    pub fn fill(&self, key: &str, text: &Spanned<String>) -> String {
        self.check(key, text, text.get_ref());
        match self.node.replica {
            Some(index) => text.get_ref().replace("{index}", &index.to_string()),
            None => text.get_ref().clone(),
        }
    }

    fn check(&self, key: &str, at: &Spanned<String>, text: &str) {
        // Replicas share one text.
        if self.node.replica.is_some_and(|index| index > 0) {
            return;
        }
        let braced = text.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        for (name, _) in braced {
            if let Some((why, help)) = self.names_nothing(name) {
                self.mistakes.add(at.span(), format!("{key}: {} {why}", quote(&format!("{{{name}}}"))), help);
            }
        }
    }

    /// What is wrong with what stands in braces, and what would be right; `None` for what is right, or is none of ours.
    fn names_nothing(&self, name: &str) -> Option<(&'static str, String)> {
        let lower = name.to_ascii_lowercase();
        let (word, rest) = lower.split_once(':').map_or((&*lower, None), |(word, rest)| (word, Some(rest)));
        match (word, rest) {
            ("index", None) if self.node.replica.is_some() => {
                (name != "index").then(|| ("is written in small letters", "`{index}`".to_owned()))
            }
            ("index", None) => {
                let help =
                    "it is the number of one of several replicas: give the guest a `count`, or leave it out";
                Some(("names nothing", help.to_owned()))
            }
            ("ca", _) => {
                let known = || self.authorities.iter().map(|authority| authority.name.get_ref().as_str());
                let wanted = name.strip_prefix("ca:").unwrap_or_default();
                if known().any(|authority| authority == wanted) {
                    return None;
                }
                let meant = self.mistakes.did_you_mean(wanted, known());
                let help = match known().next() {
                    None => "add [ca.NAME], whose root `{ca:NAME}` is".to_owned(),
                    Some(first) if meant.is_empty() => {
                        format!("the root of a [ca.NAME], such as `{{ca:{first}}}`")
                    }
                    Some(_) => meant,
                };
                Some(("names no authority of the lab", help))
            }
            _ => None,
        }
    }
}
