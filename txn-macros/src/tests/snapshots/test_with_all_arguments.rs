#[::core::prelude::v1::test]
#[cfg(unix)]
fn r#move() {
    #[tracing::instrument]
    #[txn::transactional(_db as tx)]
    async fn r#move(_db: Sandbox<Postgres>) {}
    ::my::txn::__private::test::run::<
        Sandbox<Postgres>,
        _,
    >(
        {
            const SETUP: ::my::txn::__private::test::Setup = ::my::txn::__private::test::Setup::new(
                    "BANK_DATABASE_URL",
                )
                .migrations(::my::txn::__private::migrate!("./migrations"));
            SETUP
        },
        r#move,
    )
}
