//! docs/from-tms.md, done word by word: the script and the commands are those of the page, so that it cannot rot. (Python 3 is
//! what the page asks for.)

use std::path::Path;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use meeting_controller::api::MeetingBridge;
use meeting_controller::api::meeting::ParticipantState;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::bridge_kit::*;
use crate::kit::*;
use crate::meetings::*;
use crate::plugin::BINARY;

fn page() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/from-tms.md");
    std::fs::read_to_string(file).expect("the page")
}

/// The one block of the page in this language.
fn block(page: &str, language: &str) -> String {
    let (_, rest) = page.split_once(&format!("```{language}\n")).expect("a block");
    rest.split_once("\n```").expect("its end").0.to_owned()
}

/// The command between backticks that begins like this.
fn inline(page: &str, begin: &str) -> String {
    let found = page.split('`').find(|part| part.starts_with(begin));
    found.expect("a command").replace('\n', " ")
}

/// A desk with the files of the page and the programs that it names.
struct Desk {
    dir: TempDir,
    namespace: String,
    kubeconfig: std::path::PathBuf,
}

impl Desk {
    async fn new(arena: &Arena) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let kubectl = control_plane::tools::kubectl().await.expect("kubectl");
        for (name, program) in [("kubectl", &kubectl), ("meeting-controller", &*BINARY), ("kubectl-meetings", &*BINARY)]
        {
            std::os::unix::fs::symlink(program, dir.path().join(name)).unwrap();
        }
        let kubeconfig = arena.plane.kubeconfig_path().to_owned();
        Self { dir, namespace: arena.namespace.clone(), kubeconfig }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
    }

    /// Runs commands of the page in the arena's namespace: what they print, together.
    async fn runs(&self, commands: &str) -> String {
        let here = format!("-n {}", self.namespace);
        let commands =
            commands.replace("-n meetings", &here).replace(" meetings core ", &format!(" {} core ", self.namespace));
        assert!(commands.contains(&self.namespace), "{commands}");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-ec", &commands]).current_dir(self.dir.path());
        shell.env("PATH", format!("{}:{path}", self.dir.path().display())).env("KUBECONFIG", &self.kubeconfig);
        let output = shell.kill_on_drop(true).output().await.unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("UTF-8"));
        assert!(output.status.success(), "{commands}\n{out}{err}");
        out
    }
}

/// Local times as the three formats of the script have them.
fn local(at: &Zoned, format: usize) -> String {
    at.strftime(["%Y-%m-%d %H:%M", "%d.%m.%Y %H:%M", "%m/%d/%Y %I:%M %p"][format]).to_string()
}

/// What somebody saved as a table: headings in another order, one that nobody needs, a mark of the byte order.
fn export(now: &Zoned) -> String {
    let at = |minutes: i64, format| local(&now.checked_add(SignedDuration::from_mins(minutes)).unwrap(), format);
    let row = |key: &str, title: &str, begin: String, end: String, people: &str| {
        format!("{key},\"{title}\",Owner,{begin},{end},\"{people}\"\r\n")
    };
    let day = 24 * 60;
    [
        "\u{feff}Conference ID,Title,Owner,Start Time,End Time,Participants\r\n".to_owned(),
        row(
            "101",
            "Über: \"\"alles\"\", {heute}",
            at(-1, 0),
            at(20, 0),
            "desk@rooms.test; Meeting Room 3; desk@rooms.test",
        ),
        row("102", "Board", at(day, 1), at(day + 60, 1), "a@rooms.test, b@rooms.test"),
        row("103 / B", " ", at(2 * day, 2), at(2 * day + 30, 2), ""),
        row("104", "Last month", at(-30 * day, 0), at(-30 * day + 60, 0), "a@rooms.test"),
    ]
    .concat()
}

#[ignore = "needs python3; just page-from-tms"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_are_taken_over_and_bookings_brought_along_as_the_page_says() {
    let page = page();
    let mut arena = Arena::quiet("from-tms", lone(), brisk()).await;
    for number in ["1", "2", "3", "4", "5"] {
        let name = format!("TMS_Scheduled_Meeting_{number}");
        let pairs = [("name", name.as_str()), ("uri", number), ("callId", number), ("nonMemberAccess", "false")];
        arena.sim.add_space_with(&pairs).expect("a space of TMS");
    }
    let before = arena.sim.spaces();
    arena.start().await;
    arena.connect().await;
    let desk = Desk::new(&arena).await;

    // 1 and 2: looked at, nothing written; a conference of TMS that runs is seen.
    let open = before[2].id.clone();
    let conference = "nonMemberAccess=true&name=Weekly&secret=abc";
    arena.ask(reqwest::Method::PUT, &format!("coSpaces/{open}"), conference).await;
    arena.create_bridge("core", json!({ "managementPolicy": "Observe" })).await;
    let seen = arena.bridge("core", "one is foreign", |b| slots_of(b).foreign == 1).await;
    let plan = seen.status.unwrap().plan;
    assert!(!plan.iter().any(|step| step.contains("bulk") || step.contains("space")), "{plan:?}");
    let shown = desk
        .runs(&format!("{} -n meetings", inline(&page, "kubectl meetings status NAME").replace("NAME", "core")))
        .await;
    assert!(shown.contains("core"), "{shown}");
    assert_eq!(arena.writes().len(), 1, "{:?}", arena.journal_lines());
    let over = "nonMemberAccess=false&name=TMS_Scheduled_Meeting_3";
    arena.ask(reqwest::Method::PUT, &format!("coSpaces/{open}"), over).await;
    arena.bridge("core", "none is foreign", |b| slots_of(b).foreign == 0).await;

    // 3: what is booked there is brought along.
    let now = Timestamp::now().to_zoned(TimeZone::get("Europe/Berlin").unwrap());
    desk.write("bookings.csv", &export(&now));
    desk.write("tms2meetings.py", &block(&page, "python"));
    let commands = page.split("```console\n").nth(1).and_then(|rest| rest.split_once("```")).expect("the commands").0;
    let said = desk.runs(commands).await;
    assert!(said.contains("3 objects checked, 0 problems"), "{said}");
    for line in ["tms-101 ", "tms-102 ", "tms-103-b "] {
        assert!(said.contains(line), "{said}");
    }
    assert!(!said.contains("tms-104"), "what is over stays behind: {said}");
    for (name, title, people) in [
        ("tms-101", "Über: \"alles\", {heute}", json!(["desk@rooms.test"])),
        ("tms-102", "Board", json!(["a@rooms.test", "b@rooms.test"])),
        ("tms-103-b", "Meeting", json!([])),
    ] {
        let spec = serde_json::to_value(&arena.booked(name).await.spec).unwrap();
        let parties: Vec<&Value> =
            spec["participants"].as_array().into_iter().flatten().map(|p| &p["remoteParty"]).collect();
        assert_eq!((&spec["title"], json!(parties)), (&json!(title), people), "{spec}");
    }
    let begins = arena.booked("tms-102").await.spec.start.0;
    let tomorrow = now.checked_add(SignedDuration::from_hours(24)).unwrap().timestamp();
    assert!((tomorrow.duration_since(begins)) < SignedDuration::from_mins(1), "{begins} is tomorrow in Berlin");

    // 4: it is ours, in the spaces that TMS made, by their ids.
    desk.runs(&inline(&page, "kubectl -n meetings patch mb/NAME").replace("NAME", "core")).await;
    let running = arena.party("tms-101", ParticipantState::Connected).await;
    let slot = arena.slot(number_of(&running));
    assert!(slot.open && before.iter().any(|space| space.id == slot.id), "{slot:?}");
    let ids = |spaces: Vec<cms_simulator::SpaceView>| spaces.into_iter().map(|space| space.id).collect::<Vec<_>>();
    assert_eq!(ids(arena.sim.spaces()), ids(before), "none was made, none is gone");
    arena.bridge("core", "Ready", |b: &MeetingBridge| condition(b, "Ready").0 == "True").await;
    arena.finish().await;
}
