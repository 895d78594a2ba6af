async fn place(&self, order: Order) -> Result<Id, E>
where
    Self: Sized,
{
    let mut scope = match ::txn::__private::open(
            ::txn::__private::provide(&self.state.db()),
            {
                const OPTIONS: ::txn::__private::Options = ::txn::__private::Options::new(
                        ::core::concat!(::core::module_path!(), "::place"),
                    )
                    .at(::core::file!(), ::core::line!())
                    .nested();
                &OPTIONS
            },
        )
        .await
    {
        ::core::result::Result::Ok(scope) => scope,
        ::core::result::Result::Err(error) => {
            return <Result<Id, E> as ::txn::Outcome>::from_error(error);
        }
    };
    let span = ::txn::__private::Scope::span(&scope);
    let tx = ::txn::__private::Scope::tx(&mut scope);
    let outcome = {
        let body = ::core::pin::pin!(
            ::core::option::Option::Some(async move { if let
            ::core::option::Option::Some(pinned) = ::core::option::Option::None:: <
            Result < Id, E > > { return pinned; } { insert(& mut * tx, order). await } })
        );
        ::txn::__private::run(span, body).await
    };
    let verdict = <Result<Id, E> as ::txn::Outcome>::verdict(&outcome);
    let reason = match verdict {
        ::txn::Verdict::Rollback => {
            use ::txn::__private::{ReasonDisplay as _, ReasonOpaque as _};
            (&&::txn::__private::Reason(&outcome)).reason()
        }
        ::txn::Verdict::Commit => ::core::option::Option::None,
    };
    match ::txn::__private::end(scope, verdict, reason).await {
        ::core::result::Result::Ok(()) => outcome,
        ::core::result::Result::Err(error) => {
            <Result<Id, E> as ::txn::Outcome>::from_error(error)
        }
    }
}
