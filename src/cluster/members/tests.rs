//! Servers without a table of call bridges, or without a node of one.

use crate::cluster::lost::tests::cluster;
use crate::cms::CmsError;
use crate::cms::tests::server::{Action, STATUS, Server, reply, xml};

fn none() -> Action {
    reply("404 Not Found", "Content-Type: application/json\r\n", "{}")
}

#[tokio::test]
async fn a_bridge_without_a_table_is_alone_unless_it_says_that_it_is_in_a_cluster() {
    let clustered = STATUS.replace("</status>", "<clusterEnabled>true</clusterEnabled></status>");
    for (status, wanted) in [(STATUS.to_owned(), Ok(0)), (clustered, Err(CmsError::NotACms))] {
        let server = Server::start(move |_, request| match request.path.ends_with("/status") {
            true => xml(&status),
            false => none(),
        });
        let server = server.await;
        let cluster = cluster(&server);
        cluster.read_system(&cluster.active()).await.unwrap();
        let read = cluster.read_members(Some(&server.address())).await;
        assert_eq!(read.map(|cluster| cluster.members.len()), wanted);
    }
}

/// The list of call bridges is all that it tells of them.
#[tokio::test]
async fn a_member_that_cannot_be_looked_at_alone_is_as_the_list_shows_it() {
    let server = Server::start(|_, request| match request.path.trim_start_matches("/api/v1/") {
        "system/status" => xml(STATUS),
        path if path.starts_with("callBridges?") => {
            xml("<callBridges total=\"1\"><callBridge id=\"b-1\"><name>Core1</name></callBridge></callBridges>")
        }
        _ => none(),
    })
    .await;
    let read = cluster(&server).read_members(Some(&server.address())).await.unwrap();
    let shown: Vec<_> = read.members.iter().map(|m| (m.id.as_str(), m.name.as_str(), m.primary)).collect();
    assert_eq!(shown, [("b-1", "Core1", false)]);
}
