//! HTTP both ways: curl against the guests' servers, the guests' clients against Python's.

use std::fs;
use std::path::Path;
use std::process::Child;

use crate::common::capture::{OURS, count};
use crate::common::lab::{Lab, Site};

const SERVERS: &str = "
[guest.v4]
module = \"GUESTS/http_server.wasm\"
args = [\"0.0.0.0:80\", \"/srv\"]
directories = { \"/srv\" = \"FOLDER/www\" }

[guest.v6]
module = \"GUESTS/http_server.wasm\"
args = [\"[::]:80\", \"/srv\"]
directories = { \"/srv\" = \"FOLDER/www\" }
";

const SMALL: &str = "a small page\n";

/// A process that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bytes that no two offsets share a neighbourhood of.
fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    guestnet::rng::Seed(5).fork("noise").fill(&mut bytes);
    bytes
}

fn site() -> Site {
    let site = Site::new();
    fs::create_dir(site.path("www")).unwrap();
    fs::write(site.path("www/small.txt"), SMALL).unwrap();
    fs::write(site.path("www/large.bin"), noise(4_000_003)).unwrap();
    fs::write(site.path("www/empty"), "").unwrap();
    site
}

fn curl(lab: &Lab, arguments: &str) -> String {
    let output = lab.namespace().command(&format!("curl -sS --max-time 50 {arguments}")).output().unwrap();
    assert!(output.status.success(), "curl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn show(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn curl_fetches_files_over_both_families() {
    let mut lab = site().ready(SERVERS);
    for server in ["10.0.0.2", "[fd00::3]"] {
        let got = lab.site.path("got");
        for name in ["small.txt", "large.bin", "empty"] {
            curl(&lab, &format!("-g -o {} http://{server}/{name}", show(&got)));
            let same = fs::read(&got).unwrap() == fs::read(lab.site.path("www").join(name)).unwrap();
            assert!(same, "{name} from {server} is not what the server has");
        }
        let missing = curl(&lab, &format!("-g -o /dev/null -w %{{http_code}} http://{server}/missing"));
        assert_eq!(missing, "404");
        // One connection for several requests.
        let reused =
            curl(&lab, &format!("-g -w %{{num_connects}}, http://{server}/empty http://{server}/empty"));
        assert_eq!(reused, "1,0,");
    }
    lab.finish();
}

#[test]
fn three_hundred_curls_at_once_all_succeed() {
    let mut lab = site().ready(SERVERS);
    fs::create_dir(lab.site.path("got")).unwrap();
    curl(
        &lab,
        &format!(
            "--parallel --parallel-immediate --parallel-max 300 -o {}/#1 http://10.0.0.2/small.txt?[1-300]",
            show(&lab.site.path("got"))
        ),
    );
    for number in 1..=300 {
        let got = fs::read_to_string(lab.site.path("got").join(number.to_string())).unwrap();
        assert_eq!(got, SMALL, "number {number}");
    }
    lab.finish();
    let opened =
        count(&lab.capture(), &format!("{OURS} && frame.interface_name == \"host\" && tcp.flags == 0x12"));
    assert!(opened >= 300, "{opened} connections were opened");
}

#[test]
fn gos_server_answers_curl() {
    let mut lab = site().start(
        "[guest.go]\nmodule = \"GUESTS/go_server.wasm\"\nargs = [\"0.0.0.0:80\", \"/srv\"]\n\
         directories = { \"/srv\" = \"FOLDER/www\" }\n",
    );
    lab.wait_for_port(80);
    let got = lab.site.path("got");
    curl(&lab, &format!("-o {} http://10.0.0.2/large.bin", show(&got)));
    assert!(fs::read(&got).unwrap() == noise(4_000_003), "not what the server has");
    assert_eq!(curl(&lab, "http://10.0.0.2/small.txt"), SMALL);
    lab.finish();
}

#[test]
fn guests_fetch_from_a_linux_server() {
    let site = site();
    let folder = site.path("www");
    let serve = |bind: &str| {
        Server(site.namespace.start(&format!(
            "/usr/bin/python3 -m http.server --bind {bind} --directory {} 8000",
            show(&folder)
        )))
    };
    let _servers = [serve("10.0.0.1"), serve("fd00::1")];
    for address in ["http://10.0.0.1:8000/", "http://[fd00::1]:8000/"] {
        site.namespace.run(&format!(
            "curl -sS -g --retry 50 --retry-delay 1 --retry-connrefused -o /dev/null {address}"
        ));
    }
    let mut lab = site.start(
        "[guest.c4]\nmodule = \"GUESTS/http_client.wasm\"\nargs = [\"10.0.0.1:8000\", \"/small.txt\"]\n\
         [guest.c6]\nmodule = \"GUESTS/http_client.wasm\"\nargs = [\"[fd00::1]:8000\", \"/small.txt\"]\n\
         [guest.go4]\nmodule = \"GUESTS/go_client.wasm\"\nargs = [\"10.0.0.1:8000\", \"/small.txt\", \"3\"]\n\
         [guest.missing]\nmodule = \"GUESTS/http_client.wasm\"\nargs = [\"10.0.0.1:8000\", \"/missing\"]\n",
    );
    let ended = lab.end();
    for line in
        ["c4: 200", "c4: a small page", "c6: 200", "c6: a small page", "go4: a small page", "missing: 404"]
    {
        assert!(ended.stdout.lines().any(|said| said == line), "{line} is missing: {ended:?}");
    }
    assert_eq!(ended.status.code(), Some(1), "one guest met a 404: {ended:?}");
    assert!(ended.stderr.contains("3 of 4 guests exited with 0"), "{ended:?}");
    crate::common::capture::check(&lab.capture());
}
