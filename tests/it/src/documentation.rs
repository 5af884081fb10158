//! What the documentation and the comments cite exists: links, requirements, sections, decisions, tests. No cluster needed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use meeting_controller::api::conditions;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout")
}

/// Every file below `folder` with this extension, in order.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(folder).expect("a folder").map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.ends_with("target") {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources() -> Vec<PathBuf> {
    let mut all = files(&root().join("src"), "rs");
    all.extend(files(&root().join("tests"), "rs"));
    // This file spells citations that are none.
    all.retain(|path| !path.ends_with("documentation.rs"));
    all
}

fn documents() -> Vec<PathBuf> {
    let mut all = files(&root().join("docs"), "md");
    all.extend(
        [
            "README.md",
            "CHANGELOG.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "crds/reference.md",
            "tests/cms-simulator/README.md",
        ]
        .map(|name| root().join(name)),
    );
    all
}

/// The name that a forge gives to a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept: String = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect();
    kept.replace(' ', "-")
}

fn headings(path: &Path) -> Vec<String> {
    let text = read(path);
    let lines = text.lines().filter(|line| line.starts_with('#'));
    lines.map(|line| line.trim_start_matches('#').trim().to_owned()).collect()
}

/// The targets of the links of a document, code blocks apart.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, block) in text.split("```").enumerate() {
        if index % 2 == 0 {
            let ends = block.match_indices("](").map(|(at, _)| &block[at + 2..]);
            found.extend(
                ends.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.replace(['\n', ' '], "")),
            );
        }
    }
    found
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        for link in links(&read(&document)) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, part) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { document.clone() } else { document.parent().unwrap().join(file) };
            let is_there =
                target.exists() && (part.is_empty() || headings(&target).iter().any(|heading| anchor(heading) == part));
            if !is_there {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The numbers that follow a citation: `section 9`, ` 1.3 and 1.9`, ` 6.1 to 6.3`, `sections 4 to 8`.
fn numbers_after(text: &str) -> Vec<String> {
    let mut rest = text.trim_start_matches('`').trim_start();
    rest = rest.trim_start_matches(['(', ' ']);
    let mut found = Vec::new();
    loop {
        rest = rest.trim_start_matches("sections").trim_start_matches("section").trim_start();
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number = rest[..end].trim_end_matches('.');
        if number.is_empty() {
            return found;
        }
        found.push(number.to_owned());
        rest = &rest[number.len()..];
        match [", ", " and ", " to "].iter().find_map(|word| rest.strip_prefix(word)) {
            Some(more) => rest = more,
            None => return found,
        }
    }
}

#[test]
fn every_section_that_is_cited_exists() {
    let mut wrong = Vec::new();
    for name in ["cms-protocol.md", "requirements.md"] {
        let numbers: BTreeSet<String> = headings(&root().join("docs").join(name))
            .iter()
            .filter_map(|heading| heading.split_whitespace().next().map(|first| first.trim_end_matches('.').to_owned()))
            .collect();
        for source in sources().into_iter().chain(documents()) {
            // A comment may break within a citation.
            let text = read(&source).replace("\n//! ", " ").replace("\n/// ", " ");
            for (at, _) in text.match_indices(name) {
                for number in numbers_after(&text[at + name.len()..]) {
                    if !numbers.contains(&number) {
                        wrong.push(format!("{}: {name} {number}", source.display()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What moves or goes is still cited otherwise. A short name stands for any file that ends in it.
#[test]
fn every_source_file_that_is_cited_exists() {
    let known: Vec<String> = sources().iter().map(|path| format!("/{}", path.display())).collect();
    let is_there =
        |cited: &str| cited == "documentation.rs" || known.iter().any(|path| path.ends_with(&format!("/{cited}")));
    let comments = |path: &Path| -> String {
        read(path).lines().filter_map(|line| line.split_once("//")).map(|(_, text)| format!("{text}\n")).collect()
    };
    let texts = sources().into_iter().map(|path| (comments(&path), path));
    // What was changed may name what is gone.
    let texts = texts
        .chain(documents().into_iter().filter(|path| !path.ends_with("CHANGELOG.md")).map(|path| (read(&path), path)));
    let (mut missing, mut count) = (Vec::new(), 0);
    for (text, path) in texts {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '.')));
        let cited = words.map(|word| word.trim_matches(['.', '/'])).filter(|word| word.ends_with(".rs"));
        // The example of a module and its tests.
        for cited in cited.map(|word| word.trim_start_matches("../")).filter(|word| !word.starts_with("foo")) {
            count += 1;
            if !is_there(cited) {
                missing.push(format!("{}: {cited}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(count > 300, "{count} files are cited");
}

/// The words in `text` that are `prefix` and then only digits.
fn numbered(text: &str, prefix: char) -> BTreeSet<u32> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter_map(|word| word.strip_prefix(prefix)?.parse().ok()).collect()
}

fn rows() -> Vec<(u32, String)> {
    let text = read(&root().join("docs/requirements.md"));
    let rows = text.lines().filter_map(|line| {
        let (number, rest) = line.strip_prefix("| R")?.split_once(" |")?;
        Some((number.parse().ok()?, rest.to_owned()))
    });
    rows.collect()
}

#[test]
fn every_requirement_has_its_row_and_every_cited_one_exists() {
    let rows: Vec<u32> = rows().into_iter().map(|(number, _)| number).collect();
    assert_eq!(rows, (1..=80).collect::<Vec<_>>(), "each of R1 to R80 once, in order");
    for source in sources() {
        let text = read(&source);
        let comments: Vec<&str> = text.lines().filter_map(|line| line.split_once("//").map(|(_, text)| text)).collect();
        let cited = numbered(&comments.join(" "), 'R');
        let unknown: Vec<_> = cited.into_iter().filter(|number| !(1..=80).contains(number)).collect();
        assert!(unknown.is_empty(), "{}: R{unknown:?}", source.display());
    }
}

#[test]
fn every_decision_that_is_cited_exists() {
    let records = files(&root().join("docs/decisions"), "md");
    let known: BTreeSet<String> =
        records.iter().map(|path| path.file_name().unwrap().to_string_lossy()[..4].to_owned()).collect();
    for source in sources().into_iter().chain(documents()).chain([root().join("deny.toml")]) {
        let text = read(&source);
        for (at, word) in text.match_indices("decision 0") {
            let number = &text[at + word.len() - 1..][..4];
            assert!(known.contains(number), "{}: decision {number}", source.display());
        }
    }
    let index = read(&root().join("docs/decisions/README.md"));
    for number in known.iter().filter(|number| number.starts_with('0')) {
        assert!(index.contains(&format!("[{number}](")), "the index lacks {number}");
    }
}

/// The functions that a file defines.
fn functions(path: &Path) -> BTreeSet<String> {
    let text = read(path);
    let starts = text.match_indices("fn ").map(|(at, word)| &text[at + word.len()..]);
    starts.filter_map(|rest| rest.split(['(', '<', ' ']).next().map(str::to_owned)).collect()
}

fn functions_below(folder: &str) -> BTreeSet<String> {
    files(&root().join(folder), "rs").iter().flat_map(|path| functions(path)).collect()
}

/// Is this one of ours, in the form of docs/requirements.md? None: it names no test.
fn exists(test: &str) -> Option<bool> {
    let parts: Vec<&str> = test.split("::").collect();
    Some(match parts.as_slice() {
        ["unit", name] => functions_below("src").contains(*name),
        ["it", module, name] => {
            let path = root().join("tests/it/src").join(format!("{module}.rs"));
            path.exists() && functions(&path).contains(*name)
        }
        ["simulator", module, name] => {
            let path = root().join("tests/cms-simulator/src/tests").join(format!("{module}.rs"));
            path.exists() && functions(&path).contains(*name)
        }
        ["deploy", module, name] => {
            let path = root().join("tests/deploy/src").join(format!("{module}.rs"));
            path.exists() && functions(&path).contains(*name)
        }
        ["control-plane", name] => functions_below("tests/control-plane").contains(*name),
        ["bench", name] => {
            let folder = root().join("tests/bench/src");
            folder.join(format!("{name}.rs")).exists() || folder.join(name).is_dir()
        }
        _ => return None,
    })
}

#[test]
fn every_test_that_shows_a_requirement_exists() {
    let text = read(&root().join("docs/requirements.md"));
    let named: Vec<&str> = text.split('`').filter(|word| exists(word).is_some()).collect();
    let missing: Vec<_> = named.iter().filter(|word| exists(word) == Some(false)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(named.len() > 100, "{} tests are named", named.len());
    for (number, row) in rows() {
        let shown = row.split('`').any(|word| exists(word) == Some(true));
        assert!(shown || row.contains("not shown:"), "R{number} names no test");
    }
}

/// What is promised for later is forgotten when it comes, and then contradicts the code.
#[test]
fn nothing_that_users_read_speaks_of_what_is_not_there_yet() {
    let mut all = vec![root().join("README.md")];
    for extension in ["yaml", "md", "tpl", "txt", "json"] {
        all.extend(["deploy", "crds"].iter().flat_map(|folder| files(&root().join(folder), extension)));
    }
    assert!(all.len() > 20, "{all:?}");
    for path in all {
        let text = read(&path);
        for words in ["NOT YET", "not there yet", "comes later", "TODO", "not implemented"] {
            assert!(!text.contains(words), "{}: {words}", path.display());
        }
    }
}

/// The fields below a schema: path, description, values of an enum. Conditions and label selectors are Kubernetes' own.
fn described(schema: &serde_json::Value, path: &str, found: &mut Vec<(String, String, Vec<String>)>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let text = field["description"].as_str().unwrap_or_default().to_owned();
        let values = field["enum"].as_array().into_iter().flatten().filter_map(|value| value.as_str());
        found.push((path.clone(), text, values.map(str::to_owned).collect()));
        if !matches!(name.as_str(), "conditions" | "selector" | "bridgeSelector") {
            described(field, &path, found);
            described(&field["items"], &path, found);
        }
    }
}

/// Is this no description of a field? It is a statement, longer than the name, and says more of values than what they are.
fn is_poor(text: &str, values: &[String]) -> bool {
    const ASKING: [&str; 8] = ["May", "Is", "Are", "Does", "Do", "Can", "Has", "Was"];
    let before_version = text.find("CMS ").map_or(text, |at| &text[..at]).trim();
    let words = before_version.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty() && *word != "or");
    let own = words.filter(|word| !values.iter().any(|value| value == word)).count();
    text.trim().len() < 25
        || before_version.is_empty()
        || !text.trim().ends_with('.')
        || text.contains('?')
        || text.split(' ').next().is_some_and(|first| ASKING.contains(&first))
        || own < 2
}

/// What `kubectl explain` shows.
#[test]
fn every_field_is_described_by_a_statement() {
    let mut poor = Vec::new();
    for crd in meeting_controller::api::crds() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).unwrap();
        let mut found = Vec::new();
        for part in ["spec", "status"] {
            let path = format!("{}.{part}", crd.spec.names.kind);
            described(&schema["openAPIV3Schema"]["properties"][part], &path, &mut found);
        }
        assert!(found.len() > 20, "{found:?}");
        poor.extend(found.into_iter().filter(|(_, text, values)| is_poor(text, values)));
    }
    assert!(poor.is_empty(), "{poor:#?}");
    for text in
        ["CMS 2.3 and later.", "Does it answer?", "May new meetings be booked? Accepted ones go on.", "Slot number."]
    {
        assert!(is_poor(text, &[]), "{text}");
    }
    assert!(is_poor(
        "unrestricted, max1080p30 or max720p5.",
        &["unrestricted", "max1080p30", "max720p5"].map(str::to_owned)
    ));
}

/// Every long flag of a command and those below it.
fn flags(command: &clap::Command, found: &mut BTreeSet<String>) {
    let own = command.get_arguments().flat_map(|argument| argument.get_long_and_visible_aliases().unwrap_or_default());
    found.extend(own.map(|flag| format!("--{flag}")));
    for below in command.get_subcommands() {
        flags(below, found);
    }
}

/// Flags of other programs that the documents name.
const OTHERS: [&str; 46] = [
    // kubectl
    "--all",
    "--all-namespaces",
    "--cascade",
    "--force",
    "--clusterrole",
    "--dry-run",
    "--field-manager",
    "--field-selector",
    "--for",
    "--from-file",
    "--from-literal",
    "--overwrite",
    "--patch-file",
    "--prefix",
    "--previous",
    "--replicas",
    "--server-side",
    "--serviceaccount",
    "--subresource",
    "--tail",
    "--type",
    // helm
    "--create-namespace",
    "--reset-then-reuse-values",
    "--reuse-values",
    "--set",
    "--set-json",
    "--take-ownership",
    // velero, cosign, gh, just
    "--restore-status",
    "--certificate-identity",
    "--certificate-oidc-issuer",
    "--repo",
    "--list",
    // cargo, its tests and its tools
    "--exact",
    "--features",
    "--ignored",
    "--locked",
    "--nocapture",
    "--release",
    "--test-threads",
    "--workspace",
    "--lib",
    // curl
    "--cacert",
    // our own for development: control plane, playground
    "--crds",
    "--keep",
    "--help",
    "--version",
];

#[test]
fn every_flag_that_a_document_names_exists() {
    let mut known = BTreeSet::new();
    flags(&meeting_controller::config::Cli::command(), &mut known);
    flags(&cms_simulator::Args::command(), &mut known);
    assert!(known.contains("--shared-bridges-in") && known.contains("--tz"), "{known:?}");
    let mut unknown = Vec::new();
    for document in documents() {
        // What was changed may name what is gone.
        if document.ends_with("CHANGELOG.md") {
            continue;
        }
        let text = read(&document);
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
        let flags = words.filter(|word| {
            word.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        });
        let flags = flags.filter(|flag| !known.contains(*flag) && !OTHERS.contains(flag));
        unknown.extend(flags.map(|flag| format!("{}: {flag}", document.display())));
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

#[test]
fn every_reason_has_its_symptom() {
    let text = read(&root().join("docs/troubleshooting.md"));
    let rows = conditions::bridge::TABLE.iter().chain(conditions::meeting::TABLE).chain(conditions::series::TABLE);
    let missing: BTreeSet<&str> =
        rows.map(|row| row.reason).filter(|reason| !text.contains(&format!("`{reason}`"))).collect();
    assert!(missing.is_empty(), "say in docs/troubleshooting.md what to do about {missing:?}");
}

/// A tag of somebody else's repository can be moved to another code; a hash cannot.
#[test]
fn every_action_of_a_workflow_is_pinned_by_hash_and_says_its_version() {
    let mut count = 0;
    for path in [files(&root().join(".github"), "yaml"), files(&root().join(".github"), "yml")].concat() {
        let text = read(&path);
        for used in text.lines().filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("uses: ")) {
            let pinned = used.split_once('@').and_then(|(_, rest)| rest.split_once(" # v"));
            let is_hash = |hash: &str| hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(
                pinned.is_some_and(|(hash, version)| is_hash(hash) && !version.is_empty()),
                "{}: {used}",
                path.display()
            );
            count += 1;
        }
    }
    assert!(count > 5, "{count}");
}

/// How many files an edit and a loss pass through is a promise about the architecture; whoever adds one counts it here.
#[test]
fn each_walk_is_short() {
    let text = read(&root().join("docs/architecture.md"));
    for (walk, most) in [("a running meeting gets a later `spec.end`", 10), ("a call bridge is lost", 14)] {
        let (_, told) = text.split_once(&format!("## Walk: {walk}\n")).expect("the walk");
        let told = told.split("\n## ").next().unwrap_or_default();
        let rows: Vec<&str> = told.lines().filter(|line| line.starts_with("| ")).collect();
        let named = |row: &str| -> Vec<String> {
            let words = row.split('`').skip(1).step_by(2).filter(|word| word.ends_with(".rs"));
            words.map(str::to_owned).collect()
        };
        let entered: Vec<String> = rows.iter().flat_map(|row| named(row)).collect();
        let treating: BTreeSet<&str> = told
            .split("**`")
            .skip(1)
            .filter_map(|rest| rest.split('`').next())
            .filter(|file| file.ends_with(".rs"))
            .collect();
        assert!(
            treating.len() <= most && treating.len() * 2 > most,
            "{walk}: {} treat it: {treating:?}",
            treating.len()
        );
        for file in entered.iter().map(String::as_str).chain(treating) {
            assert!(root().join("src").join(file).is_file(), "{walk}: there is no src/{file}");
        }
    }
}
