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
                const OPTIONS: ::txn::__private::Options = ::txn::__private::Options::new(
                        ::core::concat!(::core::module_path!(), "::debit"),
                    )
                    .at(::core::file!(), ::core::line!());
                ::txn::__private::must_be_a_transaction::<PgTx>();
                &OPTIONS
            },
        )
        .await
    {
        ::core::result::Result::Ok(scope) => scope,
        ::core::result::Result::Err(error) => {
            return <Result<u64, E> as ::txn::Outcome>::from_error(error);
        }
    };
    let span = ::txn::__private::Scope::<PgTx>::span(&scope);
    let tx: &mut PgTx = ::txn::__private::Scope::<PgTx>::tx(&mut scope);
    let outcome = {
        let body = ::core::pin::pin!(
            ::core::option::Option::Some(async move { if let
            ::core::option::Option::Some(pinned) = ::core::option::Option::None:: <
            Result < u64, E > > { return pinned; } { let n = query("…").bind(id)
            .execute(& mut * tx). await ?; Ok(n) } })
        );
        ::txn::__private::run(span, body).await
    };
    let verdict = <Result<u64, E> as ::txn::Outcome>::verdict(&outcome);
    let reason = match verdict {
        ::txn::Verdict::Rollback => {
            use ::txn::__private::{ReasonDisplay as _, ReasonOpaque as _};
            (&&::txn::__private::Reason(&outcome)).reason()
        }
        ::txn::Verdict::Commit => ::core::option::Option::None,
    };
    match ::txn::__private::end::<PgTx, _>(scope, verdict, reason).await {
        ::core::result::Result::Ok(()) => outcome,
        ::core::result::Result::Err(error) => {
            <Result<u64, E> as ::txn::Outcome>::from_error(error)
        }
    }
}
