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
                const OPTIONS: ::my::txn::__private::Options = ::my::txn::__private::Options::new(
                        "bank.transfer",
                    )
                    .at(::core::file!(), ::core::line!())
                    .requires_new()
                    .isolation(::my::txn::Isolation::Serializable)
                    .read_only()
                    .deferrable();
                ::my::txn::__private::must_be_a_transaction::<Conn<DB>>();
                ::my::txn::__private::deferrable({
                    use ::my::txn::__private::AnyEngine as _;
                    ::my::txn::__private::EngineOf::<Conn<DB>>::new().engine()
                });
                &OPTIONS
            },
        )
        .await
    {
        ::core::result::Result::Ok(scope) => scope,
        ::core::result::Result::Err(error) => {
            return <Result<Option<&'a str>, E> as ::my::txn::Outcome>::from_error(error);
        }
    };
    let span = ::my::txn::__private::Scope::<Conn<DB>>::span(&scope);
    let mut conn: &mut Conn<DB> = ::my::txn::__private::Scope::<
        Conn<DB>,
    >::tx(&mut scope);
    let outcome = {
        let body = ::core::pin::pin!(
            ::core::option::Option::Some(async move { if let
            ::core::option::Option::Some(pinned) = ::core::option::Option::None:: <
            Result < Option < & 'a str >, E > > { return pinned; } { f(b[0]); Ok(Some(a))
            } })
        );
        ::my::txn::__private::run(span, body).await
    };
    let verdict = match &outcome {
        ::core::result::Result::Err(E::A(n) | E::B(n)) if *n > 3 => {
            ::my::txn::Verdict::Commit
        }
        ::core::result::Result::Ok(None) => ::my::txn::Verdict::Rollback,
        _ => <Result<Option<&'a str>, E> as ::my::txn::Outcome>::verdict(&outcome),
    };
    let reason = match verdict {
        ::my::txn::Verdict::Rollback => {
            use ::my::txn::__private::{ReasonDisplay as _, ReasonOpaque as _};
            (&&::my::txn::__private::Reason(&outcome)).reason()
        }
        ::my::txn::Verdict::Commit => ::core::option::Option::None,
    };
    match ::my::txn::__private::end::<Conn<DB>, _>(scope, verdict, reason).await {
        ::core::result::Result::Ok(()) => outcome,
        ::core::result::Result::Err(error) => {
            <Result<Option<&'a str>, E> as ::my::txn::Outcome>::from_error(error)
        }
    }
}
