async fn place(&mut self) -> Result<Id, E> {
    let mut scope = match ::txn::__private::open(
            &mut self.tx,
            {
                &const {
                    ::txn::__private::Options::new(
                            ::core::concat!(::core::module_path!(), "::place"),
                        )
                        .at(::core::file!(), ::core::line!())
                        .mandatory()
                }
            },
        )
        .await
    {
        ::core::result::Result::Ok(scope) => scope,
        ::core::result::Result::Err(error) => {
            return <Result<Id, E> as ::txn::Outcome>::from_error(error);
        }
    };
    let (tx, span) = ::txn::__private::enter(&mut scope);
    let outcome = {
        let body = ::core::pin::pin!(
            ::core::option::Option::Some(async { if let
            ::core::option::Option::Some(pinned) = ::core::option::Option::None:: <
            Result < Id, E > > { return pinned; } { insert(& mut * tx, & self.name).
            await } })
        );
        ::txn::__private::run(span, body).await
    };
    let conclusion = {
        use ::txn::__private::{ReasonDisplay as _, ReasonOpaque as _};
        (&&::txn::__private::Reason(&outcome))
            .conclude(<Result<Id, E> as ::txn::Outcome>::verdict(&outcome))
    };
    let ended = ::txn::__private::end(scope, conclusion).await;
    <Result<Id, E> as ::txn::Outcome>::__after(outcome, ended)
}
