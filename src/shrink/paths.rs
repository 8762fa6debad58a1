//! Paths in a scenario that goes into another folder.

use std::path::Path;

use toml_edit::Item;

use super::knobs;
use super::script::{Place, Script};

/// Puts `folder` before every relative path of a scenario.
pub(super) fn rebase(script: &mut Script, folder: &Path) {
    let place = |steps: &[&str]| steps.iter().map(|&step| step.to_owned()).collect::<Place>();
    let mut keys: Vec<(Place, String)> = Vec::new();
    let mut add = |place: Place, key: &str| keys.push((place, key.to_owned()));
    for guest in script.names("guest") {
        add(place(&["guest", &guest]), "module");
        add(place(&["guest", &guest, "stdin"]), "file");
        let directories = place(&["guest", &guest, "directories"]);
        for directory in script.keys(&directories) {
            add(directories.clone(), &directory);
            add([directories.as_slice(), &[directory]].concat(), "host");
        }
        for protocol in script.keys(&place(&["guest", &guest, "protocol"])) {
            add(place(&["guest", &guest, "protocol", &protocol]), "qlog");
            let lists = [
                ("certificate", "chain"),
                ("certificate", "key"),
                ("roots", "file"),
                ("client_roots", "file"),
            ];
            for (list, key) in lists {
                let elements = script.elements(&place(&["guest", &guest, "protocol", &protocol, list]));
                elements.into_iter().for_each(|element| add(element, key));
            }
        }
    }
    for authority in script.names("ca") {
        add(place(&["ca", &authority]), "export");
    }
    for knobs in knobs::tables(script) {
        add([knobs.as_slice(), &place(&["rate"])].concat(), "trace");
    }
    for entry in 0..script.entries() {
        add(place(&["at", &entry.to_string(), "inject"]), "pcap");
    }
    for number in 0..script.expectations().len() {
        add(place(&["expect", &number.to_string()]), "golden");
        add(place(&["expect", &number.to_string()]), "same_as");
    }
    for (place, key) in keys {
        script.edit(&place, |table| {
            let value = table.get_mut(&key).and_then(Item::as_value_mut);
            if let Some(value) = value
                && let Some(path) = value.as_str()
            {
                let decor = value.decor().clone();
                *value = folder.join(path).to_string_lossy().into_owned().into();
                *value.decor_mut() = decor;
            }
        });
    }
}
