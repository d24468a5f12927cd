//! A divided value made of strict readings: whatever holds of it must be what they would be.

use samovar_cache::{Divided, ReadError, Tag, Turn};

use super::{Node, Wanted, tag};
use crate::{Broken, oracle::Value};

/// Of which strict readings are bundled: a piece of a divided value for each.
const BUNDLED: usize = 4;

/// How the divided value is named among strict readings.
const ALL: [(&str, &str); 1] = [("own", "all")];

impl Node {
    /// Looks at what was bundled of strict readings: whatever holds must be what they would be.
    pub fn read_bundle(&self) {
        let node = self.clone();
        self.cluster.executor.spawn(self.group, async move {
            let oracle = &node.cluster.oracle;
            let began = oracle.begin(node.group);
            let tags = tags_of_bundle();
            let reading = node.strict.reading(&node.cluster.tenant).params(&ALL).tags(&tags);
            let Ok(found) = node.cache.find_divided(&[reading.divided()]).await else {
                return oracle.failed();
            };
            let Some(found) = &found[0] else { return };
            let bytes = found.bytes().expect("not compressed");
            for (own, value) in pieces(&bytes).filter(|(own, _)| found.holds(*own)) {
                let name = Wanted::Strict { own }.name();
                oracle.check(began, &name, true, true, &Value::decode(value));
            }
        });
    }

    /// Makes a divided value of strict readings, and lets go what it has taken over.
    pub fn bundle(&self) {
        let node = self.clone();
        self.cluster.executor.spawn(self.group, async move {
            if node.bundled().await.is_err() {
                node.cluster.oracle.failed();
            }
        });
    }

    async fn bundled(&self) -> Result<(), ReadError> {
        let (cluster, tags) = (&self.cluster, tags_of_bundle());
        let reading = self.strict.reading(&cluster.tenant).params(&ALL).tags(&tags).divided();
        // All of it before the stamps are captured: only the ticket can tell what of it they are of.
        let before = self.cache.find_divided(&[reading]).await?.remove(0);
        let texts: [String; BUNDLED] = std::array::from_fn(|own| own.to_string());
        let params = texts.each_ref().map(|own| [("own", own.as_str())]);
        let alone = params.iter().zip(&tags);
        let alone = alone.map(|(params, tag)| {
            self.strict.reading(&cluster.tenant).params(params).tags(std::slice::from_ref(tag))
        });
        let found = self.cache.get_many(&alone.collect::<Vec<_>>()).await?;
        cluster.dawdle().await;
        let seen = before.as_ref().map(Divided::commit);
        let begun = self.cache.begin_divided(&reading, seen).await?;
        let Turn::Compute(ticket) = begun else { return Ok(()) };
        let is_careless = cluster.broken == Some(Broken::TakenOverUnseen);
        let (mut value, mut taken) = (Vec::new(), Vec::new());
        let bytes_before = before.as_ref().map(|it| it.bytes().expect("not compressed"));
        for (own, answer) in found.into_iter().enumerate() {
            if let Some(answer) = answer.filter(|it| is_careless || ticket.vouches_for(it)) {
                write_piece(own, &answer.bytes().expect("not compressed"), &mut value);
                taken.push(answer);
                continue;
            }
            let (Some(before), Some(bytes)) = (&before, &bytes_before) else { continue };
            let is_good =
                before.holds(own) && (is_careless || ticket.vouches_for_piece(before, own));
            if let (true, Some((_, piece))) = (is_good, pieces(bytes).find(|it| it.0 == own)) {
                write_piece(own, piece, &mut value);
            }
        }
        cluster.dawdle().await;
        if ticket.commit(value).await?.is_stored() {
            cluster.dawdle().await;
            self.cache.evict(&taken).await?;
        }
        Ok(())
    }
}

fn tags_of_bundle() -> [Tag; BUNDLED] {
    std::array::from_fn(tag)
}

fn write_piece(own: usize, value: &[u8], to: &mut Vec<u8>) {
    to.push(own as u8);
    to.extend_from_slice(value);
    to.push(b'\n');
}

/// Of a divided value: which source each is of, and what was read of it.
fn pieces(value: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let lines = value.split(|byte| *byte == b'\n').filter_map(<[u8]>::split_first);
    lines.map(|(own, piece)| (usize::from(*own), piece))
}
