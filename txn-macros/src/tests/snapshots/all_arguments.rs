async unsafe fn r#move<'a, DB: Engine, const N: usize>(
    conn: impl ::my::txn::Source<Conn<DB>>,
    (a, b): (&'a str, [u8; N]),
    f: impl Fn(u8) -> u8,
) -> Result<Option<&'a str>, E>
where
    DB: Send,
{
    let mut scope = match ::my::txn::__private::open::<
        Conn<DB>,
        _,
    >(
            conn,
            {
                ::my::txn::__private::must_be_a_transaction::<Conn<DB>>();
                ::my::txn::__private::deferrable({
                    use ::my::txn::__private::AnyEngine as _;
                    ::my::txn::__private::EngineOf::<Conn<DB>>::new().engine()
                });
                &const {
                    ::my::txn::__private::Options::new("bank.transfer")
                        .at(::core::file!(), ::core::line!())
                        .requires_new()
                        .isolation(::my::txn::Isolation::Serializable)
                        .read_only()
                        .deferrable()
                }
            },
        )
        .await
    {
        ::core::result::Result::Ok(scope) => scope,
        ::core::result::Result::Err(error) => {
            return <Result<Option<&'a str>, E> as ::my::txn::Outcome>::from_error(error);
        }
    };
    let (mut conn, span) = ::my::txn::__private::enter::<Conn<DB>, _>(&mut scope);
    let outcome = {
        let body = ::core::pin::pin!(
            ::core::option::Option::Some(async move { if let
            ::core::option::Option::Some(pinned) = ::core::option::Option::None:: <
            Result < Option < & 'a str >, E > > { return pinned; } { f(b[0]); Ok(Some(a))
            } })
        );
        ::my::txn::__private::run(span, body).await
    };
    let conclusion = {
        use ::my::txn::__private::{ReasonDisplay as _, ReasonOpaque as _};
        (&&::my::txn::__private::Reason(&outcome))
            .conclude(
                match &outcome {
                    ::core::result::Result::Err(E::A(n) | E::B(n)) if *n > 3 => {
                        ::my::txn::Verdict::Commit
                    }
                    ::core::result::Result::Ok(None) => ::my::txn::Verdict::Rollback,
                    _ => {
                        <Result<
                            Option<&'a str>,
                            E,
                        > as ::my::txn::Outcome>::verdict(&outcome)
                    }
                },
            )
    };
    let ended = ::my::txn::__private::end::<Conn<DB>, _>(scope, conclusion).await;
    <Result<Option<&'a str>, E> as ::my::txn::Outcome>::__after(outcome, ended)
}
