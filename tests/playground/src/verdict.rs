//! Did the meetings really open, dial, and were their slots reset? Asked of the world, not of the controller.

use cms_simulator::check::{Expectation, Severity, check};
use kube::api::{Api, ListParams};
use meeting_controller::api::conditions::types;
use meeting_controller::api::meeting::{Dial, Phase};
use meeting_controller::api::{ScheduledMeeting, is_true};

use crate::stage::Stage;
use crate::table::named;

/// One line per fact that was checked.
///
/// # Errors
/// The first fact that does not hold.
pub async fn judge(stage: &Stage, wanted: &[String]) -> Result<Vec<String>, String> {
    if wanted.is_empty() {
        return Err("no meeting was applied".to_owned());
    }
    let api: Api<ScheduledMeeting> = Api::all(stage.client.clone());
    let meetings = api.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
    let journal: Vec<_> = stage.sims.iter().flat_map(|sim| sim.journal()).collect();
    let dials: Vec<_> = stage.sims.iter().flat_map(|sim| sim.dials()).collect();
    let mut facts = Vec::new();
    for name in wanted {
        let meeting = meetings.iter().find(|meeting| named(*meeting) == *name).ok_or(format!("{name} is gone"))?;
        let status = meeting.status.clone().unwrap_or_default();
        let number = status.slot.as_ref().map(|slot| slot.number.to_string()).unwrap_or_default();
        if status.phase != Some(Phase::Ended) {
            return Err(format!("{name} is {:?}, not Ended", status.phase));
        }
        let opened = journal.iter().any(|entry| {
            entry.effect
                && entry.space_number.as_deref() == Some(&number)
                && entry.body.iter().any(|(key, value)| key == "nonMemberAccess" && value == "true")
        });
        if !opened {
            return Err(format!("{name}: the door of slot {number} was never opened on the bridge"));
        }
        facts.push(format!(
            "{name}: slot {number} was opened {} after its instant",
            status.open_latency.unwrap_or_default()
        ));
        for participant in meeting.spec.participants.iter().filter(|participant| participant.dial == Dial::Out) {
            let rings = dials.iter().filter(|dial| dial.remote_party == participant.remote_party).count();
            if rings == 0 {
                return Err(format!("{name}: {} was never dialled", participant.remote_party));
            }
            facts.push(format!("{name}: {} was dialled ({rings} ring(s))", participant.remote_party));
        }
    }
    let later = meetings.iter().filter(|meeting| !wanted.contains(&named(*meeting)));
    let booked = later
        .filter(|meeting| meeting.status.as_ref().is_some_and(|status| is_true(&status.conditions, types::ACCEPTED)))
        .count();
    if booked == 0 {
        return Err("no later occurrence of the series is booked".to_owned());
    }
    facts.push(format!("{booked} later occurrences of the series are booked"));
    for sim in &stage.sims {
        if let Some(space) = sim.spaces().iter().find(|space| space.open && space.bulk_set.is_some()) {
            return Err(format!("the slot {} is still open", space.name));
        }
        if let Some(call) = sim.calls().first() {
            return Err(format!("the call {} is still there", call.name));
        }
        let broken = check(sim, &Expectation::default());
        if let Some(first) = broken.iter().find(|violation| violation.severity == Severity::Error) {
            return Err(format!("the journal breaks a rule: {first:?}"));
        }
    }
    facts.push("every slot is shut, has a new secret and no call".to_owned());
    facts.push(format!("{} requests to the bridges, no rule broken", journal.len()));
    Ok(facts)
}
