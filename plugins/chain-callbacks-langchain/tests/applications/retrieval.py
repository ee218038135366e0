"""A question answered from documents."""

from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import PromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnablePassthrough
from witness import Witness


class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return [Document(f"All about {query}.")]


def joined(documents):
    return "\n".join(each.page_content for each in documents)


prompt = PromptTemplate.from_template("{context}\n{question}")
chain = (
    {"context": Shelf() | joined, "question": RunnablePassthrough()}
    | prompt
    | FakeListLLM(responses=["An answer."])
    | StrOutputParser()
)

witness = Witness()
for config in (None, {"callbacks": [witness], "metadata": {"user": "someone"}}):
    print(chain.invoke("bees", config))
    print("".join(chain.stream("ants", config)))
witness.report()
