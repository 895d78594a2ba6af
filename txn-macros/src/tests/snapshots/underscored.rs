async fn check(tx: impl ::txn::Source<Tx<Sqlite>>) -> Result<(), E> {
    let mut scope = match ::txn::__private::open::<
        Tx<Sqlite>,
        _,
    >(
            tx,
            {
                const OPTIONS: ::txn::__private::Options = ::txn::__private::Options::new(
                        ::core::concat!(::core::module_path!(), "::check"),
                    )
                    .at(::core::file!(), ::core::line!());
                ::txn::__private::must_be_a_transaction::<Tx<Sqlite>>();
                &OPTIONS
            },
        )
        .await
    {
        ::core::result::Result::Ok(scope) => scope,
        ::core::result::Result::Err(error) => {
            return <Result<(), E> as ::txn::Outcome>::from_error(error);
        }
    };
    let span = ::txn::__private::Scope::<Tx<Sqlite>>::span(&scope);
    let _tx: &mut Tx<Sqlite> = ::txn::__private::Scope::<Tx<Sqlite>>::tx(&mut scope);
    let outcome = {
        let body = ::core::pin::pin!(
            ::core::option::Option::Some(async move { if let
            ::core::option::Option::Some(pinned) = ::core::option::Option::None:: <
            Result < (), E > > { return pinned; } { Ok(()) } })
        );
        ::txn::__private::run(span, body).await
    };
    let verdict = <Result<(), E> as ::txn::Outcome>::verdict(&outcome);
    let reason = match verdict {
        ::txn::Verdict::Rollback => {
            use ::txn::__private::{ReasonDisplay as _, ReasonOpaque as _};
            (&&::txn::__private::Reason(&outcome)).reason()
        }
        ::txn::Verdict::Commit => ::core::option::Option::None,
    };
    match ::txn::__private::end::<Tx<Sqlite>, _>(scope, verdict, reason).await {
        ::core::result::Result::Ok(()) => outcome,
        ::core::result::Result::Err(error) => {
            <Result<(), E> as ::txn::Outcome>::from_error(error)
        }
    }
}
