async fn check(tx: impl ::txn::Source<Tx<Sqlite>>) -> Result<(), E> {
    let mut scope = match ::txn::__private::open::<
        Tx<Sqlite>,
        _,
    >(
            tx,
            {
                ::txn::__private::must_be_a_transaction::<Tx<Sqlite>>();
                &const {
                    ::txn::__private::Options::new(
                            ::core::concat!(::core::module_path!(), "::check"),
                        )
                        .at(::core::file!(), ::core::line!())
                }
            },
        )
        .await
    {
        ::core::result::Result::Ok(scope) => scope,
        ::core::result::Result::Err(error) => {
            return <Result<(), E> as ::txn::Outcome>::from_error(error);
        }
    };
    let (_tx, span) = ::txn::__private::enter::<Tx<Sqlite>, _>(&mut scope);
    let outcome = {
        let body = ::core::pin::pin!(
            ::core::option::Option::Some(async move { if let
            ::core::option::Option::Some(pinned) = ::core::option::Option::None:: <
            Result < (), E > > { return pinned; } { Ok(()) } })
        );
        ::txn::__private::run(span, body).await
    };
    let conclusion = {
        use ::txn::__private::{ReasonDisplay as _, ReasonOpaque as _};
        (&&::txn::__private::Reason(&outcome))
            .conclude(<Result<(), E> as ::txn::Outcome>::verdict(&outcome))
    };
    let ended = ::txn::__private::end::<Tx<Sqlite>, _>(scope, conclusion).await;
    <Result<(), E> as ::txn::Outcome>::__after(outcome, ended)
}
