/// Takes money.
#[instrument]
#[allow(y)]
pub(crate) async fn debit(
    #[allow(x)]
    tx: impl ::txn::Source<PgTx>,
    id: i64,
) -> Result<u64, E> {
    let mut scope = match ::txn::__private::open::<
        PgTx,
        _,
    >(
            tx,
            {
                ::txn::__private::must_be_a_transaction::<PgTx>();
                &const {
                    ::txn::__private::Options::new(
                            ::core::concat!(::core::module_path!(), "::debit"),
                        )
                        .at(::core::file!(), ::core::line!())
                }
            },
        )
        .await
    {
        ::core::result::Result::Ok(scope) => scope,
        ::core::result::Result::Err(error) => {
            return <Result<u64, E> as ::txn::Outcome>::from_error(error);
        }
    };
    let (tx, span) = ::txn::__private::enter::<PgTx, _>(&mut scope);
    let outcome = {
        let body = ::core::pin::pin!(
            ::core::option::Option::Some(async move { if let
            ::core::option::Option::Some(pinned) = ::core::option::Option::None:: <
            Result < u64, E > > { return pinned; } { let n = query("…").bind(id)
            .execute(& mut * tx). await ?; Ok(n) } })
        );
        ::txn::__private::run(span, body).await
    };
    let conclusion = {
        use ::txn::__private::{ReasonDisplay as _, ReasonOpaque as _};
        (&&::txn::__private::Reason(&outcome))
            .conclude(<Result<u64, E> as ::txn::Outcome>::verdict(&outcome))
    };
    let ended = ::txn::__private::end::<PgTx, _>(scope, conclusion).await;
    <Result<u64, E> as ::txn::Outcome>::__after(outcome, ended)
}
