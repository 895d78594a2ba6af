//! `&mut Tx` as an executor. What it does is written once for sessions and transactions, in
//! `pool/executor.rs`.

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::TryFutureExt;
use sqlx::{Describe, Execute, Executor, SqlStr};

use super::Tx;
use crate::engine::statement::Statement;
use crate::engine::{Engine, Step};
use crate::pool::executor::{By, Rows, executor, executor_on_its_session, operate};

executor_on_its_session!(Tx);
