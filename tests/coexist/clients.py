"""The libraries as services use them: what a pod does when it starts, when it stores, and when it asks.

Each client is one pod. Embeddings are made from a hash of the text, so that the nearest of a stored text is
that text itself and nothing else.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import redis

DIMS = 16
PREFIX = "docs"
# Of each pod that asked without pause: client, right answers, wrong ones, errors. Printed at the end.
COUNTS: list[tuple[str, int, list[str], list[str]]] = []


def embed(text: str) -> list[float]:
    """A unit vector of DIMS numbers that stands for exactly this text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).standard_normal(DIMS).astype(np.float32)
    return [float(number) for number in vector / np.linalg.norm(vector)]


class Client:
    """One pod. Constructing it does whatever the library does when a service starts.

    `name` is the index that it asks for. `package` has to be installed. `first` is the client that makes the
    index where this one never does.
    """

    package: ClassVar[str]
    index: ClassVar[str] = "idx:docs"
    first: ClassVar[type[Client] | None] = None

    def __init__(self, url: str, name: str) -> None:
        raise NotImplementedError

    @classmethod
    def works(cls) -> bool:
        """Whether the package that is installed has what this needs; it may raise ImportError."""
        return True

    def store(self, texts: Sequence[str]) -> None:
        """Store `texts` and their vectors."""
        raise NotImplementedError

    def nearest(self, text: str) -> str | None:
        """The stored text nearest to `text`; None where the answer is empty."""
        raise NotImplementedError


def redisvl_schema(name: str) -> dict[str, Any]:
    """A schema of RedisVL over `docs:`."""
    vector = {"dims": DIMS, "algorithm": "hnsw", "distance_metric": "cosine", "datatype": "float32"}
    return {
        "index": {"name": name, "prefix": PREFIX, "storage_type": "hash"},
        "fields": [
            {"name": "text", "type": "text"},
            {"name": "embedding", "type": "vector", "attrs": vector},
        ],
    }


class RedisVL(Client):
    """SearchIndex, with create(overwrite=False) at start."""

    package = "redisvl"

    def __init__(self, url: str, name: str) -> None:
        from redisvl.index import SearchIndex

        self.found = SearchIndex.from_dict(redisvl_schema(name), redis_client=redis.Redis.from_url(url))
        self.begin()

    def begin(self) -> None:
        """What the service calls before it serves."""
        self.found.create(overwrite=False)

    def store(self, texts: Sequence[str]) -> None:
        items = [{"text": text, "embedding": np.array(embed(text), np.float32).tobytes()} for text in texts]
        self.found.load(items)

    def nearest(self, text: str) -> str | None:
        from redisvl.query import VectorQuery

        query = VectorQuery(embed(text), "embedding", return_fields=["text"], num_results=1)
        found = self.found.query(query)
        return str(found[0]["text"]) if found else None


class RedisVLThatAsksFirst(RedisVL):
    """A service that makes its index only where FT.INFO knows none, which aliases answer."""

    def begin(self) -> None:
        try:
            self.found.client.execute_command("FT.INFO", self.found.name)
        except redis.ResponseError:
            self.found.create(overwrite=False)


class RedisVLCache(Client):
    """RedisVL's SemanticCache, whose index is called like the prefix of its entries."""

    package = "redisvl.extensions"
    index = "llmcache"

    def __init__(self, url: str, name: str, **options: Any) -> None:
        try:
            from redisvl.extensions.cache.llm import SemanticCache
        except ImportError:  # before 0.6
            from redisvl.extensions.llmcache import SemanticCache
        from redisvl.utils.vectorize import CustomTextVectorizer

        self.cache = SemanticCache(
            name=name,
            distance_threshold=0.01,
            vectorizer=CustomTextVectorizer(embed=embed),
            redis_client=redis.Redis.from_url(url),
            **options,
        )

    def store(self, texts: Sequence[str]) -> None:
        for text in texts:
            self.cache.store(prompt=text, response=text)

    def nearest(self, text: str) -> str | None:
        found = self.cache.check(prompt=text, num_results=1)
        return str(found[0]["response"]) if found else None


class RedisVLCacheThatMakesNothing(RedisVLCache):
    """The same with create_index=False (from 0.26 on)."""

    first = RedisVLCache

    @classmethod
    def works(cls) -> bool:
        from redisvl.extensions.cache.llm import SemanticCache

        return "create_index" in inspect.signature(SemanticCache).parameters

    def __init__(self, url: str, name: str) -> None:
        super().__init__(url, name, create_index=False)


def _langchain_embeddings() -> Any:
    from langchain_core.embeddings import Embeddings

    class Hashed(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [embed(text) for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return embed(text)

    return Hashed()


class LangChain(Client):
    """RedisVectorStore of langchain-redis."""

    package = "langchain_redis"

    def __init__(self, url: str, name: str) -> None:
        from langchain_redis import RedisConfig, RedisVectorStore

        config = RedisConfig(index_name=name, key_prefix=PREFIX, redis_url=url, legacy_key_format=False)
        self.vectors = RedisVectorStore(_langchain_embeddings(), config=config)

    def store(self, texts: Sequence[str]) -> None:
        self.vectors.add_texts(list(texts))

    def nearest(self, text: str) -> str | None:
        found = self.vectors.similarity_search(text, k=1)
        return str(found[0].page_content) if found else None


class LangChainFromExisting(LangChain):
    """The same, told that the index exists."""

    first = LangChain

    def __init__(self, url: str, name: str) -> None:
        from langchain_redis import RedisVectorStore

        self.vectors = RedisVectorStore.from_existing_index(
            name, _langchain_embeddings(), redis_url=url, key_prefix=PREFIX, legacy_key_format=False
        )


class LangChainWithSchema(LangChain):
    """The same with a schema that has no `_index_name`: its searches filter by nothing then."""

    def __init__(self, url: str, name: str) -> None:
        from langchain_redis import RedisConfig, RedisVectorStore
        from redisvl.schema import IndexSchema

        schema = redisvl_schema(name)
        schema["fields"].append({"name": "_metadata_json", "type": "text"})
        config = RedisConfig.from_schema(
            IndexSchema.from_dict(schema),
            redis_url=url,
            content_field="text",
            embedding_field="embedding",
            legacy_key_format=False,
        )
        self.vectors = RedisVectorStore(_langchain_embeddings(), config=config)


class LangChainCache(Client):
    """RedisSemanticCache of langchain-redis, which is RedisVL's inside."""

    package = "langchain_redis"
    index = "llmcache"

    def __init__(self, url: str, name: str) -> None:
        from langchain_redis import RedisSemanticCache

        self.cache = RedisSemanticCache(
            _langchain_embeddings(), redis_url=url, name=name, distance_threshold=0.01
        )

    def store(self, texts: Sequence[str]) -> None:
        from langchain_core.outputs import Generation

        for text in texts:
            self.cache.update(text, "model", [Generation(text=text)])

    def nearest(self, text: str) -> str | None:
        found = self.cache.lookup(text, "model")
        return str(found[0].text) if found else None


class LlamaIndex(Client):
    """RedisVectorStore of llama-index-vector-stores-redis."""

    package = "llama_index.vector_stores.redis"

    @classmethod
    def works(cls) -> bool:
        return "schema" in inspect.signature(cls.kind()).parameters

    @staticmethod
    def kind() -> Any:
        """The class of the vector store."""
        from llama_index.vector_stores.redis import RedisVectorStore

        return RedisVectorStore

    def __init__(self, url: str, name: str) -> None:
        from redisvl.schema import IndexSchema

        vector = {"dims": DIMS, "algorithm": "hnsw", "distance_metric": "cosine"}
        schema = IndexSchema.from_dict(
            {
                "index": {"name": name, "prefix": PREFIX, "key_separator": ":"},
                "fields": [
                    {"name": "id", "type": "tag"},
                    {"name": "doc_id", "type": "tag"},
                    {"name": "text", "type": "text"},
                    {"name": "vector", "type": "vector", "attrs": vector},
                ],
            }
        )
        self.vectors = self.kind()(schema=schema, redis_client=redis.Redis.from_url(url))

    def store(self, texts: Sequence[str]) -> None:
        from llama_index.core.schema import TextNode

        self.vectors.add([TextNode(text=text, embedding=embed(text)) for text in texts])

    def nearest(self, text: str) -> str | None:
        from llama_index.core.vector_stores.types import VectorStoreQuery

        found = self.vectors.query(VectorStoreQuery(query_embedding=embed(text), similarity_top_k=1))
        return str(found.nodes[0].get_content()) if found.nodes else None


class LlamaIndexThatMakesNothing(LlamaIndex):
    """A subclass whose index is made elsewhere."""

    first = LlamaIndex

    @staticmethod
    def kind() -> Any:
        from llama_index.vector_stores.redis import RedisVectorStore

        class Store(RedisVectorStore):
            def create_index(self, overwrite: bool | None = None) -> None:
                """The index is there, and its name may be an alias."""

            async def async_create_index(self, overwrite: bool | None = None) -> None:
                """Likewise."""

        return Store


class RedisOM(Client):
    """A JsonModel of redis-om; its Migrator runs at start."""

    package = "redis_om"

    def __init__(self, url: str, name: str) -> None:
        from redis_om import Field, JsonModel, KNNExpression, Migrator, VectorFieldOptions

        options = VectorFieldOptions.hnsw(
            type=VectorFieldOptions.TYPE.FLOAT32,
            dimension=DIMS,
            distance_metric=VectorFieldOptions.DISTANCE_METRIC.COSINE,
        )
        client = redis.Redis.from_url(url, decode_responses=True)

        class Doc(JsonModel, index=True):
            text: str
            embedding: list[float] = Field([], vector_options=options)
            score: float | None = None

            class Meta:
                global_key_prefix = ""
                model_key_prefix = PREFIX
                index_name = name
                database = client

        self.model, self.knn = Doc, KNNExpression
        Migrator().run()

    def store(self, texts: Sequence[str]) -> None:
        for text in texts:
            self.model(text=text, embedding=embed(text)).save()

    def nearest(self, text: str) -> str | None:
        vector = np.array(embed(text), np.float32).tobytes()
        knn = self.knn(
            k=1, vector_field=self.model.embedding, score_field=self.model.score, reference_vector=vector
        )
        found = self.model.find(knn=knn).all()
        return str(found[0].text) if found else None


CLIENTS: tuple[type[Client], ...] = (
    RedisVL,
    RedisVLThatAsksFirst,
    RedisVLCache,
    RedisVLCacheThatMakesNothing,
    LangChain,
    LangChainFromExisting,
    LangChainWithSchema,
    LangChainCache,
    LlamaIndex,
    LlamaIndexThatMakesNothing,
    RedisOM,
)
