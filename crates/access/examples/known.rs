//! What a request pays for being let in by a token that is known: nanoseconds, alone and by several
//! threads with one token. Run with `--release`.
#![expect(clippy::print_stdout, reason = "its output is the result")]

use std::{hint::black_box, net::IpAddr, thread};

use samovar_access::{
    Access, EmbeddedStore, Label, NewToken, Role, Scope, Secret, SecretKind, Settings, Store,
};
use samovar_clock::{Clock, Random};
use samovar_store::embedded::Folder;

const REQUESTS: u32 = 1_000_000;
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let owned = Folder::own(folder.path())?;
    let store = EmbeddedStore::open(owned, Clock::System, Random::System).await?;
    let store = Store::Embedded(store);
    let access = Access::new(store, Settings::default(), Clock::System, Random::System);
    let label = Label::new("measured")?;
    let (role, scope, lifetime, by) = (Role::Viewer, Scope::All, None, String::new());
    let token = NewToken { label, role, scope, lifetime, by };
    let (_, secret) = access.create_token(token).await?;
    access.check(&secret, HERE).await?;
    let runtime = tokio::runtime::Handle::current();
    for threads in [1, 2] {
        let handles: Vec<_> = (0..threads)
            .map(|_| {
                let (access, secret, runtime) = (access.clone(), secret.clone(), runtime.clone());
                thread::spawn(move || {
                    // It asks again behind a request.
                    let _entered = runtime.enter();
                    measure(&access, &secret)
                })
            })
            .collect();
        let each: Vec<u128> = handles.into_iter().map(|it| it.join().expect("it ends")).collect();
        println!("{threads} threads: {each:?} ns for each request");
    }
    access.close().await;
    Ok(())
}

fn measure(access: &Access, secret: &Secret) -> u128 {
    let text = secret.exposed().as_bytes();
    let began = Clock::System.now();
    for _ in 0..REQUESTS {
        let secret = Secret::parse(SecretKind::Token, black_box(text)).expect("a token");
        black_box(access.known(&secret).expect("it is known"));
    }
    Clock::System.now().since(began).as_nanos() / u128::from(REQUESTS)
}
