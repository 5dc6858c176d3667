"""SQLAlchemy's asyncio, which runs its own synchronous code in greenlets of the loop's thread."""

import asyncio
import contextlib
import gc

from fastapi import Depends, FastAPI
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

engine = create_async_engine("sqlite+aiosqlite:///made.db", connect_args={"timeout": 60})
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list["Book"]] = relationship(order_by="Book.id")


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))


@contextlib.asynccontextmanager
async def lifespan(app):
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


application = FastAPI(lifespan=lifespan)


async def session():
    async with sessions() as s:
        yield s


@application.post("/author/{number}")
async def add(number: int, s: AsyncSession = Depends(session)):
    s.add(Author(id=number, name="author %d" % number, books=[Book(title="book %d of %d" % (i, number)) for i in range(3)]))
    await s.commit()
    return number


@application.get("/author/{number}")
async def show(number: int, s: AsyncSession = Depends(session)):
    author = (await s.scalars(select(Author).where(Author.id == number).options(selectinload(Author.books)))).one()
    await asyncio.sleep(0.01)
    lazy = await s.run_sync(lambda session: [book.title for book in session.get(Author, number).books])
    return [author.name, lazy, await s.scalar(select(func.count()).select_from(Book).where(Book.author_id == number))]


@application.get("/slow")
async def slow(s: AsyncSession = Depends(session)):
    await s.scalar(select(func.count()).select_from(Author))
    await asyncio.sleep(1000)


@application.get("/left")
async def left():
    """What requests have left: tasks but this one, and connections of the pool that are in use."""
    gc.collect()
    return [len(asyncio.all_tasks()) - 1, engine.pool.checkedout()]
