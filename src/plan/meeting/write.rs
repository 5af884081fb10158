//! What a step sends to the bridge, complete: `act.rs` only carries it there. PURE.

use super::progress::Progress;
use super::step::Step;
use super::terms::Terms;
use super::warning::Notice;
use crate::api::bridge::ProfileIds;
use crate::cms::{
    AccessMethodId, Address, CallId, LegId, Message, NewAccessMethod, NewLeg, Opening, Rank, SpaceProfiles,
};

/// One request that writes.
#[derive(Clone, Debug)]
pub enum Write {
    Open(Opening),
    /// With a new secret, and this as its name.
    Close {
        placeholder: String,
        profiles: SpaceProfiles,
    },
    CreateMethod(NewAccessMethod),
    UpdateMethod(AccessMethodId, NewAccessMethod),
    DeleteMethod(AccessMethodId),
    CreateCall,
    DeleteCall(CallId),
    /// Only a participant has a rank.
    Dial {
        call: CallId,
        leg: NewLeg,
        rank: Option<Rank>,
    },
    HangUp(LegId),
    /// None: nothing is shown any more.
    Tell(CallId, Option<Message>),
}

impl Progress {
    /// What this step sends to a call bridge; None: something of it is not at hand any more.
    pub fn write(&self, step: &Step, call_bridge: &Address) -> Option<Write> {
        Some(match step {
            Step::OpenDoor | Step::MarkExtension => Write::Open(Opening {
                name: self.terms.spec.title.clone(),
                passcode: self.passcode().cloned()?,
                secret: self.secret().cloned()?,
                mark: Some(self.terms.mark.clone()),
                profiles: space_profiles(self.profiles_to_open()),
            }),
            Step::CloseDoor => Write::Close {
                placeholder: self.terms.placeholder.clone(),
                profiles: space_profiles(self.profiles_to_close()),
            },
            Step::CreateMethod(name) => Write::CreateMethod(self.method_to_write(name)?),
            Step::UpdateMethod { name, id } => Write::UpdateMethod(id.clone(), self.method_to_write(name)?),
            Step::DeleteMethod(id) => Write::DeleteMethod(id.clone()),
            Step::CreateCall => Write::CreateCall,
            Step::DeleteCall(call) => Write::DeleteCall(call.id.clone()),
            Step::Dial(party) => {
                let leg = self.terms.leg_to(party);
                let layout = leg.layout.filter(|_| !self.is_layout_refused(party));
                Write::Dial {
                    call: self.recorded_call()?.id,
                    leg: NewLeg { layout, ..leg },
                    rank: self.terms.rank_of(party, call_bridge),
                }
            }
            Step::HangUp { leg, .. } => Write::HangUp(LegId::from(leg.as_str())),
            Step::Tell { call, notice } => Write::Tell(call.id.clone(), message(&self.terms, *notice)),
        })
    }
}

fn space_profiles(ids: ProfileIds) -> SpaceProfiles {
    SpaceProfiles { call: ids.call, call_leg: ids.call_leg }
}

/// What everybody in a call is to read. None: nothing any more.
fn message(terms: &Terms, notice: Notice) -> Option<Message> {
    let asked = terms.warning()?;
    match notice {
        Notice::Left(minutes) => Some(Message {
            text: asked.text_with(minutes),
            position: asked.position.wire(),
            seconds: asked.duration_seconds,
        }),
        Notice::TakenAway => None,
    }
}
